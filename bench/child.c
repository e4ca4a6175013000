/* SPDX-License-Identifier: Apache-2.0 */
/* Work done in a process of its own, on request.
 *
 * Over a socket pair: first the child sends a greeting, then for each byte n that it gets it does
 * the work n times and sends n times of 8 bytes.  It leaves when the other end closes. */
#include "bench/child.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness.h"

struct greeting {
    enum lac_status status;
    char name[BENCH_NAME_SIZE];
    char text[LAC_ERROR_TEXT_SIZE];
};

static int send_all(int socket, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t n = send(socket, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

static int receive_all(int socket, void *data, size_t size)
{
    char *at = data;
    while (size) {
        ssize_t n = recv(socket, at, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

static void serve(int socket, const struct bench_work *work)
{
    struct lac_error error = {0};
    struct greeting greeting = {0};
    greeting.status = work->open(work->context, greeting.name, &error);
    memcpy(greeting.text, error.text, sizeof greeting.text);
    if (send_all(socket, &greeting, sizeof greeting) || greeting.status)
        return;
    uint64_t ns[BENCH_MOST_TIMES];
    for (uint8_t n; !receive_all(socket, &n, 1);)
        if (n > BENCH_MOST_TIMES || work->turn(work->context, n, ns) ||
            send_all(socket, ns, n * sizeof *ns))
            return;
}

enum lac_status bench_child_start(struct bench_child *child, const struct bench_work *work,
                                  struct lac_error *error)
{
    int ends[2];
    *child = (struct bench_child){0};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        return lac_fail(error, LAC_E_IO, "no socket pair: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return lac_fail(error, LAC_E_IO, "no new process: %s", strerror(errno));
    }
    if (!pid) {
        close(ends[0]);
        serve(ends[1], work);
        /* What the parent had buffered or registered for its own end stays the parent's. */
        _exit(0);
    }
    close(ends[1]);
    *child = (struct bench_child){.pid = pid, .socket = ends[0]};
    struct greeting greeting;
    enum lac_status status = LAC_OK;
    if (receive_all(ends[0], &greeting, sizeof greeting))
        status = lac_fail(error, LAC_E_STATE, "the other process ended unexpectedly");
    else if (greeting.status)
        status = lac_fail(error, greeting.status, "%s", greeting.text);
    if (status)
        bench_child_stop(child);
    else
        memcpy(child->name, greeting.name, sizeof child->name);
    return status;
}

int bench_child_turn(void *context, size_t n, uint64_t *ns)
{
    struct bench_child *child = context;
    uint8_t request = (uint8_t)n;
    return send_all(child->socket, &request, 1) || receive_all(child->socket, ns, n * sizeof *ns);
}

void bench_child_stop(struct bench_child *child)
{
    if (!child->pid)
        return;
    /* Children forked later hold copies of this end: closing ours alone would not end it. */
    shutdown(child->socket, SHUT_RDWR);
    close(child->socket);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    *child = (struct bench_child){0};
}
