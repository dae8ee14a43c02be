// Serves the gRPC health check (grpc.health.v1.Health/Check): `grpc-health PORT FILE` returns NOT_SERVING while FILE
// exists, otherwise SERVING. It has only that method, so it reads frames (RFC 9113) and never decodes a header.
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, SETTINGS = 4, PING = 6 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { PREFACE_BYTES = 24, FRAME_HEADER_BYTES = 9, MAX_FRAME_BYTES = 16384 };

static int read_all(int client, uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t got = read(client, bytes, length);
    if (got <= 0) return 0;
    bytes += got;
    length -= (size_t)got;
  }
  return 1;
}

static void send_frame(int client, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, uint8_t length) {
  uint8_t frame[FRAME_HEADER_BYTES + 255] = {0, 0, length, type, flags, stream >> 24, stream >> 16, stream >> 8, stream};
  if (length > 0) memcpy(frame + FRAME_HEADER_BYTES, payload, length);
  if (write(client, frame, FRAME_HEADER_BYTES + (size_t)length) < 0) exit(0);
}

static void answer(int client, uint32_t stream, int serving) {
  // Header names are given by their number in HPACK's static table if they have one (RFC 7541, appendix A).
  static const char head[] = "\x88\x0f\x10\x10" "application/grpc";
  static const char trailer[] = "\x00\x0bgrpc-status\x01" "0";
  const uint8_t message[] = {0, 0, 0, 0, 2, 8, serving ? 1 : 2};
  send_frame(client, HEADERS, END_HEADERS, stream, head, sizeof head - 1);
  send_frame(client, DATA, 0, stream, message, sizeof message);
  send_frame(client, HEADERS, END_HEADERS | END_STREAM, stream, trailer, sizeof trailer - 1);
}

static void serve(int client, const char *file) {
  uint8_t header[PREFACE_BYTES], payload[MAX_FRAME_BYTES];
  if (!read_all(client, header, PREFACE_BYTES)) return;
  send_frame(client, SETTINGS, 0, 0, NULL, 0);
  while (read_all(client, header, FRAME_HEADER_BYTES)) {
    uint32_t length = (uint32_t)header[0] << 16 | (uint32_t)header[1] << 8 | header[2];
    uint32_t stream =
        (uint32_t)(header[5] & 0x7f) << 24 | (uint32_t)header[6] << 16 | (uint32_t)header[7] << 8 | header[8];
    uint8_t type = header[3], flags = header[4];
    if (length > sizeof payload || !read_all(client, payload, length)) return;
    if (type == SETTINGS && !(flags & ACK)) send_frame(client, SETTINGS, ACK, 0, NULL, 0);
    if (type == PING && !(flags & ACK)) send_frame(client, PING, ACK, 0, payload, 8);
    if ((type == DATA || type == HEADERS) && (flags & END_STREAM)) answer(client, stream, access(file, F_OK) != 0);
  }
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  int on = 1, server = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 32)) {
    perror(argv[0]);
    return 1;
  }
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  // The first process of a pid namespace ends only on a signal that it handles.
  signal(SIGTERM, _exit);
  for (;;) {
    int client = accept(server, NULL, NULL);
    if (client < 0) continue;
    if (fork() == 0) {
      close(server);
      serve(client, argv[2]);
      exit(0);
    }
    close(client);
  }
}
