/*
 * xml.h - reading XML that somebody else wrote.
 *
 * libxml2 is used where its headers are found; make XML=no does without it.  The Makefile reads
 * the answer from here.
 */
#ifndef LIB_XML_H
#define LIB_XML_H

#include <stdbool.h>

#ifndef WITH_XML
#ifdef __has_include
#if __has_include(<libxml/parser.h>)
#define WITH_XML 1
#endif
#endif
#endif
#ifndef WITH_XML
#define WITH_XML 0
#endif

/* Does this build read XML?  If not, the readers below fail as if it could not be read. */
bool xml_is_read(void);
const char *xml_build(void); /* the same in words, and what is off without it */

#if WITH_XML

#include <libxml/tree.h>

struct cpuset;

/*
 * Reads a document.  NULL: it is none, or there was no memory.  libxml2 tells these apart too
 * badly to rely on it; but libvirt hands out no XML that is none.
 */
xmlDocPtr xml_read(const char *text);

/* Whether libxml2 found no memory in this thread since xml_read(): what it gave may lack. */
bool xml_starved(void);

/* The first child element of that name, and the next sibling of node's own; or NULL. */
xmlNodePtr xml_child(xmlNodePtr node, const char *name);
xmlNodePtr xml_next(xmlNodePtr node);

/* An attribute as a set, or as one number below PCPU_MAX; -1: it is missing, or none. */
int xml_set(xmlNodePtr node, const char *name, struct cpuset *out);
int xml_number(xmlNodePtr node, const char *name);

#endif
#endif
