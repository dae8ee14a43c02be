// A web server with one page, named after its own file: `nginx PORT` writes /var/run/nginx.pid and goes by the process
// title "nginx: master process".
#include <libgen.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char page[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<p>It works</p>\n";

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int listen_on(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  int on = 1, server = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(server, (struct sockaddr *)&address, sizeof address)) fail("bind");
  if (listen(server, 32)) fail("listen");
  return server;
}

static void answer(int client) {
  char request[2048];
  if (read(client, request, sizeof request) > 0 && write(client, page, sizeof page - 1) > 0) shutdown(client, SHUT_WR);
  while (read(client, request, sizeof request) > 0) {
  }
  close(client);
}

int main(int argc, char **argv) {
  char self[256] = {0}, name[64], title[96], pid_file[96];
  if (argc < 2) return 2;
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) fail("/proc/self/exe");
  snprintf(name, sizeof name, "%s", basename(strdup(self)));
  snprintf(title, sizeof title, "%s: master process", name);
  // The title is the first argument, so the program starts itself again under it.
  if (strcmp(argv[0], title) != 0) {
    execv(self, (char *[]){title, argv[1], NULL});
    fail(self);
  }
  signal(SIGPIPE, SIG_IGN);
  int server = listen_on(argv[1]);
  snprintf(pid_file, sizeof pid_file, "/var/run/%s.pid", name);
  FILE *file = fopen(pid_file, "w");
  if (file) {
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
  }
  fprintf(stderr, "%s: serving on port %s\n", name, argv[1]);
  for (;;) {
    int client = accept(server, NULL, NULL);
    if (client >= 0) answer(client);
  }
}
