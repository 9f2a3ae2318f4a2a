/*
 * log_journal.c - a log record to journald, with fields to look for: its native protocol, a
 * datagram of NAME=value lines, as systemd.io/JOURNAL_NATIVE_PROTOCOL has it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/log_record.h"

#define DATAGRAM_LEN 8192 /* bytes */
#define NAME_LEN     64   /* bytes: journald's limit for a field's name */
#define DAEMON       "3"  /* syslog's number of the facility */

const char *log_journal_socket = "/run/systemd/journal/socket";

/* "guest" becomes VMBAL_GUEST. */
static void name_text(const char *name, char text[NAME_LEN])
{
	size_t used = (size_t)snprintf(text, NAME_LEN, "VMBAL_%s", name);

	for (size_t i = 0; i < used && text[i]; i++)
		text[i] = (char)toupper((unsigned char)text[i]);
}

/* A line, or nothing where it does not fit.  No value forges another line. */
static size_t line_text(char *text, size_t size, const char *name, const char *value)
{
	int len = snprintf(text, size, "%s=%s\n", name, value);

	if (len < 0 || (size_t)len >= size)
		return 0;
	for (int i = 0; i < len - 1; i++)
		if (iscntrl((unsigned char)text[i]))
			text[i] = ' ';
	return (size_t)len;
}

static size_t datagram(char *text, size_t size, const struct log_record *r)
{
	char name[NAME_LEN], number[NUMBER_LEN];
	size_t used;

	snprintf(number, sizeof(number), "%d", (int)r->priority);
	used = line_text(text, size, "PRIORITY", number);
	used += line_text(text + used, size - used, "MESSAGE", r->message);
	used += line_text(text + used, size - used, "SYSLOG_FACILITY", DAEMON);
	used += line_text(text + used, size - used, "SYSLOG_IDENTIFIER",
			  program_invocation_short_name);
	for (size_t i = 0; i < r->n; i++) {
		const struct log_field *f = &r->field[i];

		name_text(f->name, name);
		log_number(f->number, number);
		used += line_text(text + used, size - used, name, f->text ? f->text : number);
	}
	return used;
}

int log_journal(const char *path, const struct log_record *r)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char text[DATAGRAM_LEN];
	size_t len = datagram(text, sizeof(text), r);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ssize_t sent;

	if (fd < 0)
		return -1;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	sent = sendto(fd, text, len, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return sent < 0 ? -1 : 0;
}
