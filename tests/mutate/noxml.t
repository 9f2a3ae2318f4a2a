#!/usr/bin/env bash
# The same for a build without libxml2: what it cannot read must not be guessed.
# shellcheck source=tests/mutate/lib.sh
. "$(dirname "$0")/lib.sh"

export XML=no
begin host fault/test_noxml fault/test_qemu

mutate "a guest with metadata is left alone" virt_learn.c 's/d->wants = unread \? GUEST_LEFT_ALONE :/d->wants =/'
mutate "... and that is said" virt_learn.c 's/&d->metadata_unread, unread,/\&d->metadata_unread, false,/'
mutate "locked memory is" qemu.c 's/\*locked = .*/*locked = confidential;/'
mutate "pinned memory is locked" qemu.c 's/lck_kib \+ pin_kib > 0;/lck_kib > 0;/'
mutate "encrypted memory is locked" qemu.c 's/\*locked = confidential \|\| /*locked = /'
mutate "hugepages are" qemu.c 's/\*huge_kib = pages_kib/*huge_kib = 0/'
mutate "a little locked memory tells nothing" qemu.c 's/\(double\)\(lck_kib \+ pin_kib\) < .*_kib/false/'
mutate "counters that are not there tell nothing" qemu.c 's/found != 3 \|\| //'
mutate "arguments that cannot be read tell nothing" qemu.c 's/ \|\| confidential < 0//'
mutate "a process that is not found tells nothing" virt_learn.c 's/d->unproven = pid <= 0 \|\|/d->unproven = pid > 0 \&\&/'
mutate "one that is found later does" virt_learn.c 's/if \(!xml_is_read\(\)\)$/if (false)/'
mutate "what is pinned later is seen" virt_learn.c 's/if \(!xml_is_read\(\)\)$/if (!xml_is_read() \&\& d->unproven)/'
mutate "the policy is told" virt_sample.c 's/g->now.unproven = d->unproven/g->now.unproven = false/'
mutate "strict nodes of an unknown host are an allowed" virt_learn.c 's/if \(guest.mode != MEMORY_STRICT .*/if (true)/'
mutate "... also where it has not been asked for nodes" virt_learn.c 's/if \(!v->topology_read\)$/if (false)/'
mutate "what will not be known is not waited for" virt_host.c 's/ \|\| \(!v->local && !xml_is_read\(\)\)//'
plan
