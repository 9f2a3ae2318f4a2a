/*
 * What host/ uses of libxml2, as 2.9 declares it, or as 2.12 does by -DLIBXML_VERSION=21200: there
 * an error may only be looked at.  For tests/make/portable.t, which compiles against both.
 */
#ifndef STUB_LIBXML_PARSER_H
#define STUB_LIBXML_PARSER_H

#include <libxml/tree.h>

#define XML_ERR_NO_MEMORY 2

enum {
	XML_PARSE_NOERROR = 1 << 5,
	XML_PARSE_NOWARNING = 1 << 6,
	XML_PARSE_NOBLANKS = 1 << 8,
	XML_PARSE_NONET = 1 << 11,
};

typedef struct _xmlError {
	int domain, code;
} xmlError;
typedef xmlError *xmlErrorPtr;

#if STUB_VERSION >= 21200
typedef void (*xmlStructuredErrorFunc)(void *data, const xmlError *error);
#else
typedef void (*xmlStructuredErrorFunc)(void *data, xmlErrorPtr error);
#endif

void xmlSetStructuredErrorFunc(void *data, xmlStructuredErrorFunc handler);
xmlDocPtr xmlReadMemory(const char *text, int size, const char *url, const char *encoding,
			int options);

#endif
