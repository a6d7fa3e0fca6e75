/* files_mark.c - the command that incron runs for each file: appends one byte to LOG.
 *
 *     files_mark LOG FILE
 */
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const int fd = argc > 1 ? open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0644) : -1;
    return fd >= 0 && write(fd, "x", 1) == 1 ? 0 : 1;
}
