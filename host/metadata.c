/*
 * metadata.c - what an administrator wrote into a guest's own definition about how it is to be
 * treated: one element of our XML namespace, with attributes only.
 */
#include <stdio.h>
#include <string.h>

#include "host/xml.h"
#include "vmbal.h"

#define SIZE_MAX_KIB (1ULL << 40) /* a pebibyte */
#define WEIGHT_MIN   0.01
#define WEIGHT_MAX   100

static bool on_off(const char *value, bool *off)
{
	*off = strcmp(value, "off") == 0;
	return *off || strcmp(value, "on") == 0;
}

/* One attribute; what is valid for it where it is not. */
static const char *attribute(const char *name, const char *value, struct guest_policy *p)
{
	static const char size[] = "must be a size such as 512MiB or 2GiB";

	if (strcmp(name, "min") == 0)
		return size_parse(value, 0, SIZE_MAX_KIB, &p->min_kib) < 0 ? size : NULL;
	if (strcmp(name, "max") == 0)
		return size_parse(value, 1, SIZE_MAX_KIB, &p->max_kib) < 0 ? size : NULL;
	if (strcmp(name, "startup") == 0)
		return size_parse(value, 0, SIZE_MAX_KIB, &p->startup_kib) < 0 ? size : NULL;
	if (strcmp(name, "weight") == 0)
		return number_parse(value, WEIGHT_MIN, WEIGHT_MAX, &p->weight) < 0
			       ? "must be a number from 0.01 to 100"
			       : NULL;
	if (strcmp(name, "cpu") == 0)
		return on_off(value, &p->cpu_off) ? NULL : "must be on or off";
	if (strcmp(name, "mem") == 0)
		return on_off(value, &p->mem_off) ? NULL : "must be on or off";
	return "is unknown; known are min, max, startup, weight, cpu and mem";
}

static int attributes(xmlNodePtr root, struct guest_policy *p, char *error, size_t len)
{
	for (xmlAttrPtr a = root->properties; a; a = a->next) {
		xmlChar *value = xmlNodeListGetString(root->doc, a->children, 1);
		const char *text = value ? (const char *)value : "";
		const char *wrong = attribute((const char *)a->name, text, p);

		if (wrong && !xml_starved())
			snprintf(error, len, "%s='%.40s' %s", (const char *)a->name, text,
				 wrong);
		xmlFree(value);
		if (wrong || xml_starved())
			return -1;
	}
	if (p->max_kib && p->min_kib > p->max_kib) {
		snprintf(error, len, "min is greater than max");
		return -1;
	}
	return 0;
}

int memory_kind_parse(const char *xml, bool *locked, bool *hugepages)
{
	xmlDocPtr doc = xml_read(xml);
	xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
	xmlNodePtr backing = xml_child(root, "memoryBacking");

	if (root) {
		*hugepages = xml_child(backing, "hugepages") != NULL;
		*locked = xml_child(backing, "locked") || xml_child(root, "launchSecurity") ||
			  xml_child(xml_child(root, "devices"), "hostdev");
	}
	xmlFreeDoc(doc);
	return root ? 0 : -1;
}

int metadata_parse(const char *xml, struct guest_policy *out, char *error, size_t len)
{
	xmlDocPtr doc = xml_read(xml);
	struct guest_policy p = { .weight = 1 };
	int result = -1;

	error[0] = '\0';
	if (doc)
		result = attributes(xmlDocGetRootElement(doc), &p, error, len);
	if (result == 0)
		*out = p;
	xmlFreeDoc(doc);
	return result;
}
