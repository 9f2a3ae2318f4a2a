// SPDX-License-Identifier: MIT
/*
 * load: the workload of a lab guest, and both ends of its control port.
 *
 *	load guest			in the guest, as PID 1: obey the lines of ttyS1
 *	load ask SOCKET WORD...		on the host: send a line, print the answer
 *
 * A line is "#TAG WORD...", its answer "#TAG text". The host repeats a line until the answer
 * with its tag comes: a booting guest hears nothing, and a UART that nobody reads keeps scraps.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define CONTROL_PORT "/dev/ttyS1"

struct board *board; /* set before the first process is forked */

static int guest_main(void);
static int host_ask(const char *path, char **words);

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "guest"))
		return guest_main();
	if (argc >= 4 && !strcmp(argv[1], "ask"))
		return host_ask(argv[2], argv + 3);
	fprintf(stderr, "usage: load guest | load ask SOCKET WORD...\n");
	return 2;
}

int64_t load_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

void load_sleep_ns(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };

	if (ns > 0)
		nanosleep(&ts, NULL);
}

/* Split in place, at blanks; the list ends with NULL. */
static int split(char *line, char **words)
{
	char *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \r\n", &save); w && n < MAX_WORDS - 1;
	     w = strtok_r(NULL, " \r\n", &save))
		words[n++] = w;
	words[n] = NULL;
	return n;
}

/* ---- control: the guest's end ---- */

static const char *obey(char *words)
{
	char *word[MAX_WORDS];
	int n = split(words, word);

	if (n && !strcmp(word[0], "cpu"))
		return command_cpu(n - 1, word + 1);
	if (n && !strcmp(word[0], "mem"))
		return command_mem(n - 1, word + 1);
	if (n && !strcmp(word[0], "ask"))
		return command_ask();
	return "error: unknown command";
}

/* A repeated line is answered again, but not obeyed again. */
static void answer(int port, char *line)
{
	static char last_tag[32], text[MAX_LINE + 64];
	char tag[32];
	int at = 0;

	if (sscanf(line, "#%31s %n", tag, &at) != 1 || !at)
		return;
	if (strcmp(tag, last_tag)) {
		strcpy(last_tag, tag);
		snprintf(text, sizeof(text), "#%s %s\n", tag, obey(line + at));
	}
	if (write(port, text, strlen(text)) < 0)
		perror("load: control port");
}

static int port_open(void)
{
	struct termios tio;
	int fd = open(CONTROL_PORT, O_RDWR | O_NOCTTY);

	if (fd < 0 || tcgetattr(fd, &tio))
		return -1;
	cfmakeraw(&tio);
	cfsetspeed(&tio, B115200);
	tio.c_cflag |= CLOCAL;
	return tcsetattr(fd, TCSANOW, &tio) ? -1 : fd;
}

static int guest_main(void)
{
	int port = port_open();
	char line[MAX_LINE];
	size_t len = 0;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	if (port < 0 || board == MAP_FAILED) {
		perror("load: no control port");
		return 1; /* PID 1 ends: the kernel panics, and the console log shows why */
	}
	for (;;) {
		struct pollfd pfd = { .fd = port, .events = POLLIN };
		char c;

		if (!poll(&pfd, 1, mem_sample_due_ms()))
			mem_sample();
		if (!(pfd.revents & POLLIN) || read(port, &c, 1) != 1)
			continue;
		if (c != '\n' && len < sizeof(line) - 1) {
			line[len++] = c;
			continue;
		}
		line[len] = '\0';
		len = 0;
		answer(port, line);
	}
}

/* ---- control: the host's end ---- */

/* QEMU serves one client at a time; the others wait in connect. */
static int host_connect(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 1 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	close(fd);
	return -1;
}

/* True when the line with that tag came, within a second; text is what follows
 * the tag. */
static bool host_try(const char *path, const char *line, const char *tag, char *text)
{
	int fd = host_connect(path);
	FILE *port = fd < 0 ? NULL : fdopen(fd, "r");
	char *at = NULL, got[MAX_LINE + 64];

	if (!port)
		return false;
	if (write(fd, line, strlen(line)) > 0)
		while (!at && fgets(got, sizeof(got), port))
			at = strstr(got, tag);
	fclose(port);
	return at && strcpy(text, at + strlen(tag));
}

/* Asks until killed: see timeout(1). */
static int host_ask(const char *path, char **words)
{
	char tag[32], line[MAX_LINE], text[MAX_LINE + 64];
	size_t len;

	signal(SIGPIPE, SIG_IGN);
	snprintf(tag, sizeof(tag), "#%llx ", (unsigned long long)load_now_ns());
	len = (size_t)snprintf(line, sizeof(line), "\n%s", tag);
	for (; *words && len < sizeof(line); words++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%c", *words,
					words[1] ? ' ' : '\n');
	if (len >= sizeof(line)) {
		fputs("too many words\n", stderr);
		return 2;
	}
	while (!host_try(path, line, tag, text))
		load_sleep_ns(100 * NS_PER_MS); /* not up yet, or gone */
	fputs(text, strncmp(text, "error", 5) ? stdout : stderr);
	return !strncmp(text, "error", 5);
}
