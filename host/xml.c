/*
 * xml.c - XML that somebody else wrote, read without network, entities and noise.
 */
#include <libxml/parser.h>
#include <string.h>

#include "host/xml.h"

#define XML_OPTIONS                                                                            \
	(XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS)

static _Thread_local bool starved;

/* Without a handler libxml2 writes to stderr when memory is lacking, whatever the options. */
static void on_error(void *opaque, xmlErrorPtr err)
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
