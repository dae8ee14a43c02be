// Says who it effectively is. Installed with the set-user-ID bit, it shows whether that bit was honoured.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  printf("Effective uid: %u\n", (unsigned)geteuid());
  return 0;
}
