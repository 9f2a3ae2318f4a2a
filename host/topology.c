/*
 * topology.c - which pCPUs share a core, a cache and a NUMA node, from libvirt's capabilities,
 * so that it works for another machine's daemon as well.
 *
 * <host><topology><cells><cell id><cpus><cpu id siblings/>...; <host><cache><bank level cpus/>.
 */
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdlib.h>
#include <string.h>

#include "vmbal.h"

/* No network, no entities, no noise: capabilities come from a daemon that may be remote. */
#define XML_OPTIONS                                                                            \
	(XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS)

static xmlNodePtr child(xmlNodePtr node, const char *name)
{
	if (!node)
		return NULL;
	for (node = node->children; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name))
			return node;
	return NULL;
}

static xmlNodePtr next(xmlNodePtr node)
{
	const char *name = (const char *)node->name;

	for (node = node->next; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name))
			return node;
	return NULL;
}

/* An attribute as a set; -1 when it is missing or no list of pCPUs. */
static int attr_set(xmlNodePtr node, const char *name, struct cpuset *out)
{
	xmlChar *value = xmlGetProp(node, (const xmlChar *)name);
	int result = value ? cpuset_parse((const char *)value, out) : -1;

	xmlFree(value);
	return result;
}

/* An attribute as one number below PCPU_MAX; -1 when it is none. */
static int attr_number(xmlNodePtr node, const char *name)
{
	struct cpuset s;

	if (attr_set(node, name, &s) < 0 || cpuset_count(&s) != 1)
		return -1;
	return cpuset_first(&s);
}

static void cell_parse(xmlNodePtr cell, struct topology *t)
{
	int node = attr_number(cell, "id");

	for (xmlNodePtr cpu = child(child(cell, "cpus"), "cpu"); cpu; cpu = next(cpu)) {
		int id = attr_number(cpu, "id");
		struct cpuset siblings;

		if (id < 0)
			continue;
		t->node[id] = node;
		if (attr_set(cpu, "siblings", &siblings) == 0 &&
		    cpuset_has(&siblings, (unsigned)id))
			t->core[id] = cpuset_first(&siblings);
	}
}

/* Only the last-level caches count: the deepest level that is listed. */
static void caches_parse(xmlNodePtr bank, struct topology *t)
{
	int deepest = 0;

	for (; bank; bank = next(bank)) {
		int level = attr_number(bank, "level");
		struct cpuset cpus;

		if (level < deepest || attr_set(bank, "cpus", &cpus) < 0)
			continue;
		deepest = level;
		for (unsigned i = 0; i < PCPU_MAX; i++)
			if (cpuset_has(&cpus, i))
				t->cache[i] = cpuset_first(&cpus);
	}
}

int topology_parse(const char *xml, struct topology *out)
{
	xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_OPTIONS);
	xmlNodePtr host = doc ? child(xmlDocGetRootElement(doc), "host") : NULL;
	xmlNodePtr cell = child(child(child(host, "topology"), "cells"), "cell");

	memset(out, 0xff, sizeof(*out)); /* -1: unknown */
	for (; cell; cell = next(cell))
		cell_parse(cell, out);
	caches_parse(child(child(host, "cache"), "bank"), out);
	xmlFreeDoc(doc);
	return host ? 0 : -1;
}

bool topology_has_nodes(const struct topology *t)
{
	int first = -1;

	for (int i = 0; i < PCPU_MAX; i++) {
		if (t->node[i] < 0)
			continue;
		if (first >= 0 && t->node[i] != first)
			return true;
		first = t->node[i];
	}
	return false;
}
