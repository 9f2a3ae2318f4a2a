# shellcheck shell=bash disable=SC2154 # what lab/lab parsed
# What a lab's guests are made of: kernel, initrd, workload and definition.

build() {
	[[ ! -e $DIR/accel ]] || return 0
	local kernel
	kernel=$(kernel_version)
	[[ -n $kernel ]] || die "no kernel in /boot with virtio modules; try 'lab deps'"
	cc -O2 -static -o "$DIR/load" "$HERE"/load*.c
	install -m 644 "/boot/vmlinuz-$kernel" "$DIR/kernel" # libvirt's qemu user must read it
	build_initrd "$kernel"
	# The flags first: a /dev/kvm that opens may still not run an ordinary kernel.
	if grep -qwE 'vmx|svm' /proc/cpuinfo && trial_boot; then
		echo kvm >"$DIR/accel"
	else
		echo qemu >"$DIR/accel"
	fi
}

# Debian's cloud kernel boots fastest; any other with the modules will do.
kernel_version() {
	local path found=''
	for path in /boot/vmlinuz-* /boot/vmlinuz-*cloud*; do
		[[ -d /lib/modules/${path#*vmlinuz-}/kernel/drivers/virtio ]] && found=${path#*vmlinuz-}
	done
	echo "$found"
}

build_initrd() {
	local root=$DIR/root module file
	local -a modules=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci)
	mkdir -p "$root"/{proc,dev,bin,modules}
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$DIR/load" "$root/load"
	for module in "${modules[@]}" virtio_balloon brd; do
		file=$(find "/lib/modules/$1/kernel/drivers"/{virtio,block} -name "$module.ko*")
		case $file in
		*.xz) xz -dc "$file" >"$root/modules/$module.ko" ;;
		*.ko) cp "$file" "$root/modules/$module.ko" ;;
		esac
	done
	guest_init "${modules[@]}" >"$root/init"
	chmod 755 "$root/init"
	(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$DIR/initrd"
	rm -rf "$root"
}

# overcommit_memory=1: a hold that does not fit must end in the OOM killer, not in a failed mmap.
guest_init() {
	cat <<-END
		#!/bin/busybox sh
		b=/bin/busybox
		\$b mount -t proc proc /proc
		\$b mount -t devtmpfs dev /dev
		echo 1 >/proc/sys/vm/overcommit_memory
		read -r line </proc/cmdline
		case \$line in *lab.trial*) echo lab-trial-booted; \$b reboot -f ;; esac
		for m in $*; do \$b insmod /modules/\$m.ko; done
		case \$line in *lab.driver=none*) ;; *) \$b insmod /modules/virtio_balloon.ko ;; esac
		\$b insmod /modules/brd.ko rd_nr=1 rd_size=$((1 << 20))
		exec /load guest
	END
}

# A guest that boots on a busy host under emulation measures its TSC wrongly: with tsc=reliable the
# clocks of two guests out of eight ran 7 and 10 times too fast. The HPET needs no measuring.
readonly KERNEL_LINE="console=ttyS0 loglevel=4 tsc=unstable mitigations=off nokaslr"

trial_boot() {
	timeout 20 qemu-system-x86_64 -accel kvm -cpu host -m 256 -nodefaults -display none \
		-no-reboot -serial stdio -kernel "$DIR/kernel" -initrd "$DIR/initrd" \
		-append "$KERNEL_LINE lab.trial" </dev/null 2>&1 | grep -q lab-trial-booted
}

# A DIMM belongs to a cell, and needs room in the address space.
dimm_cell() {
	cat <<-END
		<maxMemory slots='1' unit='MiB'>$((max + dimm))</maxMemory>
		<cpu><numa><cell id='0' cpus='0-$((vcpus - 1))' memory='$max' unit='MiB'/></numa></cpu>
	END
}

dimm_device() {
	echo "<memory model='dimm'><target><size unit='MiB'>$dimm</size><node>0</node></target></memory>"
}

guest_xml() {
	local type
	type=$(<"$DIR/accel")
	cat <<-END
		<domain type='$type'>
		  <name>$1</name>
		  <memory unit='MiB'>$((max + dimm))</memory>
		  <currentMemory unit='MiB'>$((start + dimm))</currentMemory>
		  <vcpu>$vcpus</vcpu>
		  $( ((dimm == 0)) || dimm_cell)
		  <os>
		    <type machine='pc'>hvm</type>
		    <kernel>$DIR/kernel</kernel>
		    <initrd>$DIR/initrd</initrd>
		    <cmdline>$KERNEL_LINE lab.driver=${driver:-balloon}</cmdline>
		  </os>
		  <features><acpi/><apic/>$(tcg_features "$type")</features>
		  <devices>
		    <controller type='usb' model='none'/>
		    <serial type='file'><source path='$DIR/$1.log'/></serial>
		    <serial type='unix'><source mode='bind' path='$DIR/$1.sock'/></serial>
		    <memballoon model='virtio' freePageReporting='on'><stats period='1'/></memballoon>
		    $( ((dimm == 0)) || dimm_device)
		  </devices>
		</domain>
	END
}

# The translation cache counts in RSS; by default it may grow to an eighth of the guest's size.
tcg_features() {
	[[ $1 != qemu ]] || echo "<tcg><tb-cache unit='MiB'>32</tb-cache></tcg>"
}
