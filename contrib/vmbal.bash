# shellcheck shell=bash
# Completion of vmbal, vcpu_scheduler and memory_coordinator for bash.
_vmbal() {
	local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]} words=''
	case $last in
	--grain) words='cpu core cache node' ;;
	--surplus) words='host guests' ;;
	-c | --connect) words='qemu:///system' ;;
	-g | --guests | -m | --host-memory | --host-reserve | --overcommit | --cpus | cpu | mem) return ;;
	*)
		# The options are those that --help shows.
		words=$("$1" --help 2>/dev/null | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+')
		[[ ${1##*/} != vmbal ]] || words+=' cpu mem restore'
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _vmbal vmbal vcpu_scheduler memory_coordinator
