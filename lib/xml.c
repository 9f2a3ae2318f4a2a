/*
 * xml.c - XML that somebody else wrote, read without network, entities and noise.
 */
#include "lib/xml.h"
#include "lib/cpuset.h"

const char *xml_build(void)
{
	return WITH_XML ? "with libxml2"
			: "without libxml2: not read are guests' own policy (a guest that has "
			  "one is left alone), kinds of memory from their definitions, NUMA "
			  "cells, the shape of remote hosts";
}

bool xml_is_read(void)
{
	return WITH_XML;
}

#if WITH_XML

#include <libxml/parser.h>
#include <string.h>

#define XML_OPTIONS                                                                            \
	(XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS)

/* From 2.12 on what is wrong may only be looked at. */
#if LIBXML_VERSION >= 21200
typedef const xmlError *xml_error;
#else
typedef xmlErrorPtr xml_error;
#endif

static _Thread_local bool starved;

/* Without a handler libxml2 writes to stderr when memory is lacking, whatever the options. */
static void on_error(void *opaque, xml_error err)
{
	(void)opaque;
	starved |= err->code == XML_ERR_NO_MEMORY;
}

bool xml_starved(void)
{
	return starved;
}

xmlDocPtr xml_read(const char *text)
{
	xmlDocPtr doc;

	starved = false;
	xmlSetStructuredErrorFunc(NULL, on_error);
	doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL, XML_OPTIONS);
	/* A DTD defines entities, which can expand without end. */
	if (doc && !starved && !doc->intSubset && xmlDocGetRootElement(doc))
		return doc;
	xmlFreeDoc(doc);
	return NULL;
}

static xmlNodePtr named(xmlNodePtr node, const char *name)
{
	for (; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name))
			return node;
	return NULL;
}

xmlNodePtr xml_child(xmlNodePtr node, const char *name)
{
	return node ? named(node->children, name) : NULL;
}

xmlNodePtr xml_next(xmlNodePtr node)
{
	return named(node->next, (const char *)node->name);
}

int xml_set(xmlNodePtr node, const char *name, struct cpuset *out)
{
	xmlChar *value = xmlGetProp(node, (const xmlChar *)name);
	int result = value ? cpuset_parse((const char *)value, out) : -1;

	xmlFree(value);
	return result;
}

int xml_number(xmlNodePtr node, const char *name)
{
	struct cpuset s;

	if (xml_set(node, name, &s) < 0 || cpuset_count(&s) != 1)
		return -1;
	return cpuset_first(&s);
}

#endif
