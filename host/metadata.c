/*
 * metadata.c - what an administrator wrote into a guest's own definition about how it is to be
 * treated: one element of our XML namespace, with attributes only.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/metadata.h"
#include "lib/cpuset.h"
#include "lib/number.h"
#include "lib/units.h"
#include "lib/xml.h"

#if WITH_XML

#define WEIGHT_MIN 0.01
#define WEIGHT_MAX 100
#define TEXT(s)    TEXT_OF(s)
#define TEXT_OF(s) #s
#define SIZE_VALID "must be a size such as 512MiB or 2GiB"

static const char *size(const char *value, void *kib)
{
	return size_parse(value, 0, SIZE_MAX_KIB, kib) < 0 ? SIZE_VALID : NULL;
}

static const char *size_above_0(const char *value, void *kib)
{
	return size_parse(value, 1, SIZE_MAX_KIB, kib) < 0 ? SIZE_VALID : NULL;
}

static const char *weight(const char *value, void *to)
{
	return number_parse(value, WEIGHT_MIN, WEIGHT_MAX, to) < 0
		       ? "must be a number from " TEXT(WEIGHT_MIN) " to " TEXT(WEIGHT_MAX)
		       : NULL;
}

static const char *off(const char *value, void *to)
{
	bool *is_off = to;

	*is_off = strcmp(value, "off") == 0;
	return *is_off || strcmp(value, "on") == 0 ? NULL : "must be on or off";
}

/* One attribute; what is valid for it where it is not. */
static const char *attribute(const char *name, const char *value, struct guest_policy *p)
{
#define SET(word, read, type, field)                                                           \
	if (strcmp(name, #word) == 0)                                                          \
		return read(value, &p->field);
#define NAMED(word, read, type, field) " " #word
	GUEST_ATTRIBUTES(SET)
	return "is none of" GUEST_ATTRIBUTES(NAMED);
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

/*
 * What in a definition gives the guest a device that writes to its memory by itself, so that
 * all of it is pinned: the devices for which libvirt raises the limit of locked memory.  USB
 * and SCSI devices of the host are none: QEMU copies for them.
 */
static bool pins_memory(xmlNodePtr node)
{
	static const struct {
		const char *element, *type;
	} pinning[] = {
		{ "hostdev", "pci" },       { "hostdev", "mdev" }, { "interface", "hostdev" },
		{ "interface", "vdpa" },    { "disk", "nvme" },    { "disk", "vhostvdpa" },
		{ "backingStore", "nvme" }, { "mirror", "nvme" },  { "dataStore", "nvme" },
	};
	xmlChar *type = xmlGetProp(node, (const xmlChar *)"type");
	bool pins = false;

	for (size_t i = 0; type && i < sizeof(pinning) / sizeof(pinning[0]); i++)
		pins |= strcmp((const char *)node->name, pinning[i].element) == 0 &&
			strcmp((const char *)type, pinning[i].type) == 0;
	xmlFree(type);
	return pins;
}

/* The next node of the tree below top, parents first. */
static xmlNodePtr node_after(xmlNodePtr node, xmlNodePtr top)
{
	if (node->type == XML_ELEMENT_NODE && node->children)
		return node->children;
	while (node != top && !node->next)
		node = node->parent;
	return node == top ? NULL : node->next;
}

/* Disks have their backing chain inside, each element in the one above it. */
static bool has_pinning_device(xmlNodePtr devices)
{
	for (xmlNodePtr n = devices; n; n = node_after(n, devices))
		if (n->type == XML_ELEMENT_NODE && pins_memory(n))
			return true;
	return false;
}

/* A size such as <size unit='KiB'>2048</size>, or one in an attribute; 0: there is none. */
static uint64_t kib_of(xmlNodePtr node, const char *name)
{
	xmlChar *unit = node ? xmlGetProp(node, (const xmlChar *)"unit") : NULL;
	xmlChar *value = name && node ? xmlGetProp(node, (const xmlChar *)name)
				      : xmlNodeGetContent(node);
	char text[64];
	uint64_t kib = 0;

	snprintf(text, sizeof(text), "%s%s", value ? (const char *)value : "",
		 unit ? (const char *)unit : "KiB");
	size_parse(text, 0, SIZE_MAX_KIB, &kib);
	xmlFree(unit);
	xmlFree(value);
	return kib;
}

static bool is_huge(uint64_t page_kib)
{
	return page_kib > (uint64_t)sysconf(_SC_PAGESIZE) / BYTES_PER_KIB;
}

/* Has this cell of the guest its memory in pages larger than usual? */
static bool cell_is_huge(xmlNodePtr hugepages, uint64_t cell)
{
	xmlNodePtr page = xml_child(hugepages, "page");
	bool huge = hugepages && !page; /* those that are usual on this host */
	struct cpuset cells;

	if (cell >= PCPU_MAX)
		return huge;
	for (; page; page = xml_next(page)) {
		bool some = xmlHasProp(page, (const xmlChar *)"nodeset") != NULL;

		if (some && (xml_set(page, "nodeset", &cells) < 0 ||
			     !cpuset_has(&cells, (unsigned)cell)))
			continue;
		huge = is_huge(kib_of(page, "size"));
		if (some)
			break;
	}
	return huge;
}

/* A memory device's pages are its own, or else those of the cell that it belongs to. */
static bool device_is_huge(xmlNodePtr device, xmlNodePtr hugepages)
{
	xmlNodePtr node = xml_child(xml_child(device, "target"), "node");
	xmlNodePtr page = xml_child(xml_child(device, "source"), "pagesize");
	uint64_t cell = node ? kib_of(node, NULL) : 0; /* a number, and no unit to it */

	return page ? is_huge(kib_of(page, NULL)) : cell_is_huge(hugepages, cell);
}

/*
 * What a memory device adds to what is known of its guest.  Its balloon counts RAM and DIMMs,
 * and libvirt adds what is plugged of virtio-mem; of no other it counts anything, nor takes it:
 * nvdimm, virtio-pmem, sgx-epc and what comes after them.  Returns its size.
 */
static uint64_t device_add(xmlNodePtr device, xmlNodePtr hugepages, struct memory_kind *kind)
{
	xmlNodePtr target = xml_child(device, "target");
	uint64_t size_kib = kib_of(xml_child(target, "size"), NULL);
	xmlChar *model = xmlGetProp(device, (const xmlChar *)"model");
	bool dimm = model && strcmp((const char *)model, "dimm") == 0;
	bool virtio_mem = model && strcmp((const char *)model, "virtio-mem") == 0;
	uint64_t ram_kib = dimm ? size_kib : 0; /* what its guest has of it */

	xmlFree(model);
	if (virtio_mem)
		ram_kib = kib_of(xml_child(target, "current"), NULL);
	if (device_is_huge(device, hugepages))
		kind->huge_kib += ram_kib;
	if (dimm)
		kind->dimm_kib += size_kib;
	else
		kind->other_kib += size_kib;
	if (virtio_mem)
		kind->virtio_mem_kib += ram_kib;
	kind->virtio_mem |= virtio_mem;
	return size_kib;
}

/* What is in hugepages, of each cell, or of all without any; and what its memory devices are.
 */
static void kind_read(xmlNodePtr root, struct memory_kind *kind)
{
	xmlNodePtr hugepages = xml_child(xml_child(root, "memoryBacking"), "hugepages");
	xmlNodePtr cell = xml_child(xml_child(xml_child(root, "cpu"), "numa"), "cell");
	xmlNodePtr device = xml_child(xml_child(root, "devices"), "memory");
	xmlNodePtr memory = xml_child(root, "memory");
	uint64_t rest = memory ? kib_of(memory, NULL) : SIZE_MAX_KIB;
	bool has_cells = cell != NULL;

	for (unsigned k = 0; cell; cell = xml_next(cell), k++) {
		int id = xml_number(cell, "id");

		if (cell_is_huge(hugepages, id < 0 ? k : (unsigned)id))
			kind->huge_kib += kib_of(cell, "memory");
	}
	for (; device; device = xml_next(device)) {
		uint64_t size_kib = device_add(device, hugepages, kind);

		rest -= size_kib < rest ? size_kib : rest;
	}
	kind->huge_kib += !has_cells && cell_is_huge(hugepages, 0) ? rest : 0;
}

int memory_kind_parse(const char *xml, struct memory_kind *out)
{
	xmlDocPtr doc = xml_read(xml);
	xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
	xmlNodePtr backing = xml_child(root, "memoryBacking");
	struct memory_kind kind = { 0 };
	bool known;

	kind.locked =
		root && (has_pinning_device(xml_child(root, "devices")) ||
			 xml_child(backing, "locked") || xml_child(root, "launchSecurity"));
	if (root)
		kind_read(root, &kind);
	known = root && !xml_starved();
	if (known)
		*out = kind;
	xmlFreeDoc(doc);
	return known ? 0 : -1;
}

/* Libvirt's default is strict. */
static enum memory_mode mode_of(xmlNodePtr memnode)
{
	static const struct {
		const char *name;
		enum memory_mode mode;
	} modes[] = { { "preferred", MEMORY_PREFERRED },
		      { "interleave", MEMORY_INTERLEAVE },
		      { "restrictive", MEMORY_RESTRICTIVE } };
	xmlChar *value = xmlGetProp(memnode, (const xmlChar *)"mode");
	enum memory_mode mode = MEMORY_STRICT;

	for (size_t i = 0; value && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp((const char *)value, modes[i].name) == 0)
			mode = modes[i].mode;
	xmlFree(value);
	return mode;
}

static void cells_fill(xmlNodePtr root, struct vcpu_cell *out, size_t n)
{
	xmlNodePtr cell = xml_child(xml_child(xml_child(root, "cpu"), "numa"), "cell");
	xmlNodePtr memnode = xml_child(xml_child(root, "numatune"), "memnode");
	struct cpuset vcpus, nodes;

	for (; cell; cell = xml_next(cell)) {
		int id = xml_number(cell, "id");

		if (id < 0 || xml_set(cell, "cpus", &vcpus) < 0)
			continue;
		for (size_t i = 0; i < n && i < PCPU_MAX; i++)
			if (cpuset_has(&vcpus, (unsigned)i))
				out[i].cell = id;
	}
	for (; memnode; memnode = xml_next(memnode)) {
		int id = xml_number(memnode, "cellid");

		if (id < 0 || xml_set(memnode, "nodeset", &nodes) < 0)
			continue;
		for (size_t i = 0; i < n; i++)
			if (out[i].cell == id) {
				out[i].mode = mode_of(memnode);
				out[i].nodes = nodes;
			}
	}
}

int cells_parse(const char *xml, struct vcpu_cell *out, size_t n)
{
	xmlDocPtr doc = xml_read(xml);

	if (!doc)
		return -1;
	for (size_t i = 0; i < n; i++)
		out[i] = (struct vcpu_cell){ .cell = -1 };
	cells_fill(xmlDocGetRootElement(doc), out, n);
	xmlFreeDoc(doc);
	return xml_starved() ? -1 : 0;
}

int metadata_parse(const char *xml, struct guest_policy *out, char *error, size_t len)
{
	xmlDocPtr doc = xml_read(xml);
	struct guest_policy p = { 0 };
	int result = -1;

	error[0] = '\0';
	if (doc)
		result = attributes(xmlDocGetRootElement(doc), &p, error, len);
	if (result == 0)
		*out = p;
	xmlFreeDoc(doc);
	return result;
}

#else

int cells_parse(const char *xml, struct vcpu_cell *out, size_t n)
{
	(void)xml;
	(void)out;
	(void)n;
	return -1;
}

int memory_kind_parse(const char *xml, struct memory_kind *out)
{
	(void)xml;
	(void)out;
	return -1;
}

int metadata_parse(const char *xml, struct guest_policy *out, char *error, size_t len)
{
	(void)xml;
	(void)out;
	(void)len;
	error[0] = '\0';
	return -1;
}

#endif
