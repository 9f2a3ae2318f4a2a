/*
 * alloc.c - the allocator that host/ is linked against: see the Makefile.  Any allocation can
 * be made to fail; those of the simulated host itself cannot.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/xml.h"
#include "tests/fake/fake.h"

#if WITH_XML
#include <libxml/parser.h>
#include <libxml/xmlmemory.h>
#endif

void *fake_malloc(size_t size);
void *fake_calloc(size_t n, size_t size);
void *fake_realloc(void *p, size_t size);
char *fake_strdup(const char *s);

static unsigned made, starve_at;
static bool all_after;

unsigned fake_allocations(void)
{
	return made;
}

void fake_starve_at(unsigned k, bool on)
{
	starve_at = k ? made + k : 0;
	all_after = on;
}

static bool starved(void)
{
	made++;
	if (!starve_at || (all_after ? made < starve_at : made != starve_at))
		return false;
	errno = ENOMEM;
	return true;
}

void *fake_malloc(size_t size)
{
	return starved() ? NULL : malloc(size);
}

void *fake_calloc(size_t n, size_t size)
{
	return starved() ? NULL : calloc(n, size);
}

void *fake_realloc(void *p, size_t size)
{
	return starved() ? NULL : realloc(p, size);
}

char *fake_strdup(const char *s)
{
	return starved() ? NULL : strdup(s);
}

void fake_xml(void)
{
#if WITH_XML
	xmlMemSetup(free, fake_malloc, fake_realloc, fake_strdup);
	xmlInitParser();
#endif
}
