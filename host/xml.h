/*
 * xml.h - reading XML that somebody else wrote: what topology.c and metadata.c share.
 */
#ifndef HOST_XML_H
#define HOST_XML_H

#include <libxml/tree.h>
#include <stdbool.h>

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

#endif
