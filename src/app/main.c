#include "cli/cli.h"
#include <fcntl.h>
#include <unistd.h>

/* Who was started without one of the standard descriptors would get its number for the next file or socket, and write messages into that.
 * open() takes the lowest free number. */
static void open_standard_fds(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    open_standard_fds();
    return cli_main(argc, argv);
}
