// The first process of a pod: holds its namespaces, reaps what others leave behind, ends when it is told to.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  sigset_t set;
  int signal_number;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, NULL);
  while (sigwait(&set, &signal_number) == 0 && signal_number == SIGCHLD) {
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
  }
  return 0;
}
