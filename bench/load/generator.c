/* Load over HTTP/1.1 on loopback: closed loop (every connection sends again at once) or open loop (arrivals as a Poisson process,
 * whatever the server does, so that queueing shows; a latency counts from the moment that the request was due, not from when it
 * could be sent). In C, because at ten times a service's capacity the generator must cost less than what it offers.
 *
 *   generator PORT BODIES HEADERS SECONDS closed CONNECTIONS SEED
 *   generator PORT BODIES HEADERS SECONDS open REQUESTS_PER_S SEED
 *
 * BODIES: a file of records, each a little-endian uint32 length and as many bytes: the bodies that are sent, in an order drawn
 * from SEED. HEADERS: a file with the request's head without Content-Length, each line ended with CR LF.
 * Prints one JSON object. Exits 0; 2 for usage, or when no connection can be made at all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 8192, ANSWER_BYTES = 1 << 16, MAX_SAMPLES = 1 << 21, DRAIN_S = 15 };

struct body { char *head; size_t head_bytes; char *data; size_t bytes; };
struct connection {
    int fd;
    double due;            /* when the request should have been sent */
    const struct body *body;
    size_t sent, got;      /* bytes of the request and of the answer */
    long long content_left; /* -1 while the head is not complete, -2 for a chunked answer */
    int status, closes, has_retry_after, busy;
    char answer[ANSWER_BYTES];
};
struct samples { float *s; size_t n; };

static struct body *bodies;
static size_t body_count;
static struct connection *connections[MAX_CONNECTIONS];
static int idle[MAX_CONNECTIONS], idle_count, opened, poller, port, in_flight;
static struct samples accepted, refused, other;
static long statuses[600], broken, no_connection, without_retry_after;
static uint64_t state;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double uniform(void) { /* splitmix64, in (0, 1] */
    uint64_t z = (state += 0x9E3779B97F4A7C15ull);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return ((z ^ z >> 31) >> 11) * 0x1p-53 + 0x1p-54;
}

static char *whole_file(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(2); }
    fseek(file, 0, SEEK_END);
    *bytes = ftell(file);
    rewind(file);
    char *data = malloc(*bytes + 1);
    if (fread(data, 1, *bytes, file) != *bytes) { perror(path); exit(2); }
    data[*bytes] = 0;
    fclose(file);
    return data;
}

static void read_bodies(const char *path, const char *headers_path) {
    size_t bytes, header_bytes;
    char *data = whole_file(path, &bytes), *headers = whole_file(headers_path, &header_bytes);
    for (size_t at = 0; at + 4 <= bytes;) {
        uint32_t length;
        memcpy(&length, data + at, 4);
        bodies = realloc(bodies, (body_count + 1) * sizeof *bodies);
        struct body *one = &bodies[body_count++];
        one->data = data + at + 4;
        one->bytes = length;
        one->head_bytes = asprintf(&one->head, "%sContent-Length: %u\r\n\r\n", headers, length);
        at += 4 + length;
    }
    if (!body_count) { fprintf(stderr, "generator: %s holds no body\n", path); exit(2); }
}

static void note(struct samples *to, double seconds) {
    if (!to->s) to->s = malloc(MAX_SAMPLES * sizeof(float));
    if (to->n < MAX_SAMPLES) to->s[to->n++] = seconds;
}

static int connect_to_server(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) { close(fd); return -1; }
    return fd;
}

static struct connection *take_connection(int *slot) {
    if (idle_count) {
        *slot = idle[--idle_count];
        return connections[*slot];
    }
    for (*slot = 0; *slot < opened && connections[*slot]; ++*slot) ;
    if (*slot == MAX_CONNECTIONS) return NULL;
    int fd = connect_to_server();
    if (fd < 0) return NULL;
    struct connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    connections[*slot] = c;
    if (*slot == opened) ++opened;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = *slot};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    return c;
}

static void drop(int slot) {
    struct connection *c = connections[slot];
    for (int i = 0; i < idle_count; ++i)
        if (idle[i] == slot) { idle[i] = idle[--idle_count]; break; }
    if (c->busy) { ++broken; --in_flight; }
    close(c->fd);
    free(c);
    connections[slot] = NULL;
}

static void push(int slot) {
    struct connection *c = connections[slot];
    while (c->busy && c->sent < c->body->head_bytes + c->body->bytes) {
        size_t h = c->sent < c->body->head_bytes ? c->sent : c->body->head_bytes, d = c->sent - h;
        struct iovec parts[2] = {{c->body->head + h, c->body->head_bytes - h}, {c->body->data + d, c->body->bytes - d}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (n < 0) return; /* full, not connected yet, or closed: reading tells which */
        c->sent += n;
    }
}

static void start(double due) {
    int slot;
    struct connection *c = take_connection(&slot);
    if (!c) { ++no_connection; return; }
    c->due = due;
    c->body = &bodies[(size_t)(uniform() * body_count) % body_count];
    c->sent = c->got = 0;
    c->content_left = -1;
    c->status = c->closes = c->has_retry_after = 0;
    c->busy = 1;
    ++in_flight;
    push(slot);
}

static void read_head(struct connection *c, char *end) {
    c->status = atoi(c->answer + 9);
    c->content_left = 0;
    for (char *line = strstr(c->answer, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n")) {
        if (!strncasecmp(line + 2, "content-length:", 15)) c->content_left = atoll(line + 17);
        if (!strncasecmp(line + 2, "transfer-encoding: chunked", 26)) c->content_left = -2;
        if (!strncasecmp(line + 2, "connection: close", 17)) c->closes = 1;
        if (!strncasecmp(line + 2, "retry-after:", 12)) c->has_retry_after = 1;
    }
    size_t rest = c->answer + c->got - (end + 4);
    if (c->content_left >= 0) c->content_left -= rest;
}

static void finish(int slot) {
    struct connection *c = connections[slot];
    double seconds = now() - c->due;
    int status = c->status > 99 && c->status < 600 ? c->status : 0;
    ++statuses[status];
    note(status == 200 || status == 201 ? &accepted : status == 503 ? &refused : &other, seconds);
    if (status == 503 && !c->has_retry_after) ++without_retry_after;
    c->busy = 0;
    --in_flight;
    if (c->closes || c->sent < c->body->head_bytes + c->body->bytes) drop(slot);
    else idle[idle_count++] = slot;
}

/* Whether the connection's request came to an end. */
static int pull(int slot) {
    struct connection *c = connections[slot];
    static char scratch[1 << 16];
    for (;;) {
        int in_head = c->content_left == -1;
        char *to = in_head || c->content_left == -2 ? c->answer + c->got : scratch;
        size_t room = in_head || c->content_left == -2 ? ANSWER_BYTES - 1 - c->got : sizeof scratch;
        ssize_t n = room ? recv(c->fd, to, room, 0) : 0;
        if (n < 0) return (errno == EAGAIN || errno == EINPROGRESS || errno == ENOTCONN) ? 0 : (drop(slot), 1);
        if (n == 0) { int was_busy = c->busy; drop(slot); return was_busy; }
        if (!c->busy) continue;
        if (to != scratch) { c->got += n; c->answer[c->got] = 0; } else c->content_left -= n;
        if (in_head) {
            char *end;
            while ((end = strstr(c->answer, "\r\n\r\n")) && c->answer[9] == '1') { /* 100 Continue */
                c->got -= end + 4 - c->answer;
                memmove(c->answer, end + 4, c->got + 1);
            }
            if (!end) continue;
            read_head(c, end);
        }
        if (c->content_left == 0 || (c->content_left == -2 && c->got > 5 && !memcmp(c->answer + c->got - 5, "0\r\n\r\n", 5))) {
            finish(slot);
            return 1;
        }
    }
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, struct samples *of) {
    if (of->n) qsort(of->s, of->n, sizeof(float), ascending);
    printf("\"%s\": {\"count\": %zu", name, of->n);
    static const struct { const char *name; double share; } points[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"max", 1}};
    for (size_t i = 0; of->n && i < 4; ++i) {
        size_t index = ceil(points[i].share * of->n);
        printf(", \"%s\": %.6f", points[i].name, of->s[index ? index - 1 : 0]);
    }
    printf("}, ");
}

int main(int argc, char **argv) {
    if (argc != 8 || (strcmp(argv[5], "closed") && strcmp(argv[5], "open"))) {
        fprintf(stderr, "usage: generator PORT BODIES HEADERS SECONDS closed|open CONNECTIONS|REQUESTS_PER_S SEED\n");
        return 2;
    }
    port = atoi(argv[1]);
    read_bodies(argv[2], argv[3]);
    double seconds = atof(argv[4]), load = atof(argv[6]), latest = 0;
    int open_loop = !strcmp(argv[5], "open");
    state = strtoull(argv[7], NULL, 10);
    poller = epoll_create1(0);
    double began = now(), next = began, end = began + seconds, ended = began;
    if (!open_loop)
        for (int i = 0; i < (int)load; ++i) start(began);
    struct epoll_event events[256];
    for (;;) {
        double t = now();
        if (open_loop)
            for (; next <= t && next < end; next += -log(uniform()) / load) {
                if (t - next > latest) latest = t - next;
                start(next);
            }
        if (t >= end && (!in_flight || t >= end + DRAIN_S)) break;
        double until = open_loop && next < end ? next : t + 0.1;
        struct timespec wait = {0, until > t ? (long)fmin((until - t) * 1e9, 1e8) : 0};
        int n = epoll_pwait2(poller, events, 256, &wait, NULL);
        for (int i = 0; i < n; ++i) {
            int slot = events[i].data.u32;
            if (!connections[slot]) continue;
            push(slot);
            if (pull(slot)) {
                ended = now();
                if (!open_loop && ended < end) start(ended);
            }
        }
    }
    if (!accepted.n && !refused.n && !other.n) { fprintf(stderr, "generator: nobody answered at port %d\n", port); return 2; }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_utime.tv_usec * 1e-6 + usage.ru_stime.tv_sec + usage.ru_stime.tv_usec * 1e-6;
    printf("{");
    print_samples("accepted", &accepted);
    print_samples("refused", &refused);
    print_samples("other", &other);
    printf("\"statuses\": {");
    for (int s = 0, first = 1; s < 600; ++s)
        if (statuses[s]) { printf("%s\"%d\": %ld", first ? "" : ", ", s, statuses[s]); first = 0; }
    printf("}, \"unanswered\": %d, \"broken\": %ld, \"no_connection\": %ld, \"without_retry_after\": %ld, ", in_flight, broken, no_connection, without_retry_after);
    printf("\"seconds\": %.6f, \"cpu_s\": %.6f, \"latest_s\": %.6f}\n", ended - began, cpu, latest);
    return 0;
}
