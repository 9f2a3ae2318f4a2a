/*
 * topology.c - which pCPUs share a core, a cache and a NUMA node, from libvirt's capabilities,
 * so that it works for another machine's daemon as well.
 *
 * <host><topology><cells><cell id><cpus><cpu id siblings/>...; <host><cache><bank level cpus/>.
 */
#include <string.h>

#include "host/xml.h"
#include "vmbal.h"

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

	for (xmlNodePtr cpu = xml_child(xml_child(cell, "cpus"), "cpu"); cpu;
	     cpu = xml_next(cpu)) {
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

	for (; bank; bank = xml_next(bank)) {
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
	xmlDocPtr doc = xml_read(xml);
	xmlNodePtr host = doc ? xml_child(xmlDocGetRootElement(doc), "host") : NULL;
	xmlNodePtr cell = xml_child(xml_child(xml_child(host, "topology"), "cells"), "cell");
	struct topology t;

	memset(&t, 0xff, sizeof(t)); /* -1: unknown */
	for (; cell; cell = xml_next(cell))
		cell_parse(cell, &t);
	caches_parse(xml_child(xml_child(host, "cache"), "bank"), &t);
	xmlFreeDoc(doc);
	if (!host || xml_starved())
		return -1;
	*out = t;
	return 0;
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
