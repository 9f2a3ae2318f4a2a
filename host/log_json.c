/*
 * log_json.c - a log record as a JSON object.
 */
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "host/log_record.h"

/* A text that grows, and is cut back to where it was if something did not fit. */
struct out {
	char *text;
	size_t size, used;
	bool full;
};

static void put(struct out *o, const char *s, size_t len)
{
	o->full |= o->used + len >= o->size;
	if (o->full)
		return;
	memcpy(o->text + o->used, s, len);
	o->used += len;
}

/* Length in bytes of the UTF-8 character that s begins with; 0: it is none (RFC 3629). */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char first, last, second_least, second_most;
		size_t len;
	} forms[] = {
		{ 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].first || s[0] > forms[i].last)
			continue;
		for (size_t k = 1; k < forms[i].len; k++)
			if (s[k] < (k == 1 ? forms[i].second_least : 0x80) ||
			    s[k] > (k == 1 ? forms[i].second_most : 0xbf))
				return 0;
		return forms[i].len;
	}
	return 0;
}

/* In quotes; a control character becomes a blank, what is no UTF-8 U+FFFD. */
static void put_string(struct out *o, const char *s)
{
	put(o, "\"", 1);
	while (*s) {
		size_t len = utf8_len((const unsigned char *)s);

		if (*s == '"' || *s == '\\')
			put(o, "\\", 1);
		if (iscntrl((unsigned char)*s))
			put(o, " ", 1);
		else if (len)
			put(o, s, len);
		else
			put(o, "\xef\xbf\xbd", 3);
		s += len ? len : 1;
	}
	put(o, "\"", 1);
}

void log_number(double x, char text[NUMBER_LEN])
{
	if (isfinite(x))
		snprintf(text, NUMBER_LEN, "%.15g", x);
	else
		strcpy(text, "null");
}

static void put_number(struct out *o, double x)
{
	char text[NUMBER_LEN];

	log_number(x, text);
	put(o, text, strlen(text));
}

/* All of it, or nothing. */
static void put_field(struct out *o, const struct log_field *f)
{
	size_t before = o->used;

	put(o, o->used > 1 ? "," : "", o->used > 1);
	put_string(o, f->name);
	put(o, ":", 1);
	if (f->text)
		put_string(o, f->text);
	else
		put_number(o, f->number);
	if (o->full)
		o->used = before;
	o->full = false;
}

size_t log_json(char *text, size_t size, const struct log_record *r)
{
	struct out o = { .text = text, .size = size - 1 }; /* for the brace at the end */
	const struct log_field first[] = {
		{ .name = "time", .text = r->time },
		{ .name = "priority", .number = r->priority },
		{ .name = "message", .text = r->message },
	};

	put(&o, "{", 1);
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		put_field(&o, &first[i]);
	for (size_t i = 0; i < r->n; i++)
		put_field(&o, &r->field[i]);
	text[o.used++] = '}';
	text[o.used] = '\0';
	return o.used;
}
