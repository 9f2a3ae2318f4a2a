#!/usr/bin/env python3
"""The same as kinds.c, by another reader of XML: see tests/make/libvirt.t."""
import sys
import xml.etree.ElementTree as ElementTree

UNITS = {"b": 1 / 1024, "bytes": 1 / 1024, "k": 1, "KiB": 1, "KB": 1000 / 1024, "m": 1024, "M": 1024,
         "MiB": 1024, "MB": 1e6 / 1024, "G": 1 << 20, "GiB": 1 << 20, "GB": 1e9 / 1024, "T": 1 << 30,
         "TiB": 1 << 30}
PINS = {("hostdev", "pci"), ("hostdev", "mdev"), ("interface", "hostdev"), ("interface", "vdpa"),
        ("disk", "nvme"), ("disk", "vhostvdpa"), ("backingStore", "nvme"), ("mirror", "nvme"),
        ("dataStore", "nvme")}
PAGE_KIB = 4


def kib(element, attribute=None):
    if element is None:
        return 0
    text = element.get(attribute, "0") if attribute else (element.text or "0")
    return int(int(text.strip()) * UNITS[element.get("unit", "KiB")])


def numbers(text):
    found = set()
    for part in text.split(","):
        if part.startswith("^"):
            found.discard(int(part[1:]))
            continue
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def is_huge(domain, cell):
    """Pages of a cell: those that name it, else those that name none; no page: the host's usual."""
    hugepages = domain.find("memoryBacking/hugepages")
    if hugepages is None:
        return False
    pages = hugepages.findall("page")
    if not pages:
        return True
    for page in pages:
        if page.get("nodeset") and cell in numbers(page.get("nodeset")):
            return kib(page, "size") > PAGE_KIB
    return any(kib(page, "size") > PAGE_KIB for page in pages if not page.get("nodeset"))


def kinds(domain):
    sums = {"huge": 0, "dimm": 0, "other": 0, "virtio-mem": 0}
    devices = domain.findall("devices/memory")
    for device in devices:
        size = kib(device.find("target/size"))
        model = device.get("model")
        sums["dimm" if model == "dimm" else "other"] += size
        if model == "virtio-mem":
            sums["virtio-mem"] += kib(device.find("target/current"))
        if model in ("dimm", "virtio-mem"):
            page = device.find("source/pagesize")
            node = device.find("target/node")
            cell = int(node.text) if node is not None else 0
            huge = kib(page) > PAGE_KIB if page is not None else is_huge(domain, cell)
            has = size if model == "dimm" else kib(device.find("target/current"))
            sums["huge"] += has if huge else 0
    cells = domain.findall("cpu/numa/cell")
    for k, cell in enumerate(cells):
        if is_huge(domain, int(cell.get("id", k))):
            sums["huge"] += kib(cell, "memory")
    if not cells and is_huge(domain, 0):
        sums["huge"] += kib(domain.find("memory")) - sum(kib(d.find("target/size")) for d in devices)
    locked = any((e.tag, e.get("type")) in PINS for e in domain.iterfind("devices//*"))
    locked |= domain.find("memoryBacking/locked") is not None or domain.find("launchSecurity") is not None
    return "locked=%d " % locked + " ".join("%s=%d" % item for item in sums.items())


def read(path):
    try:
        return kinds(ElementTree.parse(path).getroot())
    except ElementTree.ParseError:
        return "unread"


for path in sys.stdin.read().split():
    print(path, read(path))
