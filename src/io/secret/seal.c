#include "io/secret/seal.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/secret/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(SEAL_KEY_SIZE == crypto_secretbox_KEYBYTES, "the size of a key");
_Static_assert(SEAL_OVERHEAD == crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES,
               "nonce and authentication");

void seal_text(const struct seal *s, struct slice text, uint8_t *ret)
{
    secret_random(ret, crypto_secretbox_NONCEBYTES);
    CHECK(crypto_secretbox_easy(ret + crypto_secretbox_NONCEBYTES, (const uint8_t *)text.p,
                                text.len, ret, s->key) == 0);
}

bool seal_read(const struct seal *s, struct slice sealed, char *ret)
{
    const uint8_t *p = (const uint8_t *)sealed.p;
    return sealed.len >= SEAL_OVERHEAD &&
           crypto_secretbox_open_easy((uint8_t *)ret, p + crypto_secretbox_NONCEBYTES,
                                      sealed.len - crypto_secretbox_NONCEBYTES, p, s->key) == 0;
}

/* ---- the key file ---- */

#define NO_FILE "%s: is no regular file; put the key itself there"

static int fail(struct diag *reterr, int err, const char *path, const char *what)
{
    diag_set(reterr, DIAG_UNAVAILABLE, "%s: %s: %s", path, what, strerror(-err));
    return err;
}

/* Others who can read the key can read what it seals. */
static int read_key(struct seal *s, int fd, const char *path, struct diag *reterr)
{
    struct stat st;
    uint8_t bytes[SEAL_KEY_SIZE + 1];
    if (fstat(fd, &st) < 0)
        return fail(reterr, -errno, path, "cannot be looked at");
    if (!S_ISREG(st.st_mode))
        return diag_set(reterr, DIAG_INTERNAL, NO_FILE, path);
    if ((st.st_mode & 077) != 0)
        return diag_set(reterr, DIAG_PERMISSION_DENIED,
                        "%s: is open to others (mode %04o); make it 0600", path,
                        (unsigned)st.st_mode & 07777);
    const ssize_t n = read(fd, bytes, sizeof(bytes));
    if (n < 0)
        return fail(reterr, -errno, path, "cannot be read");
    if (n != SEAL_KEY_SIZE)
        return diag_set(
            reterr, DIAG_INTERNAL,
            "%s: holds no key of %d bytes; put the right file there, or remove it to lose "
            "what it seals",
            path, SEAL_KEY_SIZE);
    memcpy(s->key, bytes, SEAL_KEY_SIZE);
    secret_wipe(bytes, sizeof(bytes));
    return 0;
}

static int sync_directory(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int err = fd < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return err;
}

/* Written under another name and renamed: a key that is there is whole. */
static int make_key(struct seal *s, const char *data, const char *path, struct diag *reterr)
{
    char *fresh = mem_printf("%s.new", path);
    int err = 0;
    secret_random(s->key, sizeof(s->key));
    unlink(fresh);
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, s->key, sizeof(s->key)) != sizeof(s->key) || fsync(fd) < 0 ||
        rename(fresh, path) < 0)
        err = errno != 0 ? -errno : -EIO;
    if (fd >= 0)
        close(fd);
    if (err == 0)
        err = sync_directory(data);
    free(fresh);
    return err != 0 ? fail(reterr, err, path, "cannot be written") : 0;
}

int seal_open(struct seal *s, const char *data, struct diag *reterr)
{
    char *path = mem_printf("%s/" SEAL_KEY_FILE, data);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int err;
    if (fd >= 0)
        err = read_key(s, fd, path, reterr);
    else if (errno == ENOENT)
        err = make_key(s, data, path, reterr);
    else if (errno == ELOOP)
        err = diag_set(reterr, DIAG_INTERNAL, NO_FILE, path);
    else
        err = fail(reterr, -errno, path, "cannot be opened");
    if (fd >= 0)
        close(fd);
    free(path);
    return err;
}
