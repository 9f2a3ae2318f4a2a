/*
 * topology.c - which pCPUs share a core, a cache and a NUMA node, from libvirt's capabilities,
 * which tell of another machine, too.
 *
 * <host><topology><cells><cell id><cpus><cpu id siblings/>...; <host><cache><bank level cpus/>.
 */
#include "host/shape.h"
#include "lib/cpuset.h"
#include "lib/xml.h"
#include "policy/sample.h"

#if WITH_XML

static void cell_parse(xmlNodePtr cell, struct topology *t)
{
	int node = xml_number(cell, "id");

	for (xmlNodePtr cpu = xml_child(xml_child(cell, "cpus"), "cpu"); cpu;
	     cpu = xml_next(cpu)) {
		int id = xml_number(cpu, "id");
		struct cpuset siblings;

		if (id < 0)
			continue;
		t->node[id] = node;
		if (xml_set(cpu, "siblings", &siblings) == 0 &&
		    cpuset_has(&siblings, (unsigned)id))
			t->core[id] = cpuset_first(&siblings);
	}
}

/* Only the last-level caches count: the deepest level that is listed. */
static void caches_parse(xmlNodePtr bank, struct topology *t)
{
	int deepest = 0;

	for (; bank; bank = xml_next(bank)) {
		int level = xml_number(bank, "level");
		struct cpuset cpus;

		if (level < deepest || xml_set(bank, "cpus", &cpus) < 0)
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

	topology_clear(&t);
	for (; cell; cell = xml_next(cell))
		cell_parse(cell, &t);
	caches_parse(xml_child(xml_child(host, "cache"), "bank"), &t);
	xmlFreeDoc(doc);
	if (!host || xml_starved())
		return -1;
	*out = t;
	return 0;
}

#else

int topology_parse(const char *xml, struct topology *out)
{
	(void)xml;
	(void)out;
	return -1;
}

#endif
