/*
 * log_record.h - a message of the log with its figures, and how it looks to programs
 */
#ifndef HOST_LOG_RECORD_H
#define HOST_LOG_RECORD_H

#include <stddef.h>

#include "host/log.h"

struct log_record {
	enum log_priority priority;
	const char *time; /* RFC 3339 */
	const char *message;
	const struct log_field *field;
	size_t n;
};

/*
 * A JSON object: time, priority, message, and the fields, in UTF-8 and without
 * control characters, whatever the texts are.  Fields that do not fit in size, which is 3 at
 * least, are left out.
 * Returns its length, without a newline.
 */
size_t log_json(char *text, size_t size, const struct log_record *r);

/* To the socket of a journal.  -1: nobody took it. */
int log_journal(const char *path, const struct log_record *r);
extern const char *log_journal_socket; /* journald's; a test has its own */

#define NUMBER_LEN 32 /* bytes */

/* As both have it: integers up to 1e15 in full.  Of what is not finite: "null". */
void log_number(double x, char text[NUMBER_LEN]);

#endif
