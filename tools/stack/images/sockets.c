// Opens a socket of each address family that it is given, and says which of them the system call filter refuses. A family
// that the kernel lacks fails with another error than the filter's EPERM.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **families) {
  for (int index = 1; index < count; index++) {
    int family = atoi(families[index]);
    int fd = socket(family, SOCK_RAW, 0);
    int raw = fd < 0 ? errno : 0;
    if (fd >= 0) close(fd);
    fd = socket(family, SOCK_STREAM, 0);
    int stream = fd < 0 ? errno : 0;
    if (fd >= 0) close(fd);
    printf("%d %s\n", family, raw == EPERM && stream == EPERM ? "refused" : "allowed");
  }
  return 0;
}
