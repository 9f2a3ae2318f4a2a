/* See parser.h. */
#ifndef STUB_LIBXML_TREE_H
#define STUB_LIBXML_TREE_H

#ifndef LIBXML_VERSION
#define LIBXML_VERSION STUB_VERSION
#endif

typedef unsigned char xmlChar;
typedef struct _xmlNode xmlNode, *xmlNodePtr;
typedef struct _xmlAttr xmlAttr, *xmlAttrPtr;
typedef struct _xmlDoc xmlDoc, *xmlDocPtr;

enum { XML_ELEMENT_NODE = 1 };

struct _xmlAttr {
	const xmlChar *name;
	xmlNodePtr children;
	xmlAttrPtr next;
};

struct _xmlNode {
	int type;
	const xmlChar *name;
	xmlNodePtr children, parent, next;
	xmlAttrPtr properties;
	xmlDocPtr doc;
};

struct _xmlDoc {
	void *intSubset;
};

extern void (*xmlFree)(void *p);
void xmlFreeDoc(xmlDocPtr doc);
xmlNodePtr xmlDocGetRootElement(xmlDocPtr doc);
xmlChar *xmlGetProp(xmlNodePtr node, const xmlChar *name);
xmlAttrPtr xmlHasProp(xmlNodePtr node, const xmlChar *name);
xmlChar *xmlNodeGetContent(xmlNodePtr node);
xmlChar *xmlNodeListGetString(xmlDocPtr doc, xmlNodePtr list, int inline_entities);

#endif
