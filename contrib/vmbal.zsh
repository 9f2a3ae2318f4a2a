#compdef vmbal vcpu_scheduler memory_coordinator
# Completion of vmbal, vcpu_scheduler and memory_coordinator for zsh: a file _vmbal in its fpath.

local help last=${words[CURRENT-1]} value=
help=$(_call_program options "$words[1] --help" 2>/dev/null)

# What follows is a number after a loop, and after an option what --help calls it.
! grep -qE "^  $last +SECONDS" <<<"$help" 2>/dev/null || return
[[ $last != -* || $last = *[^a-z-]* ]] || value=$(sed -nE "s/^ +(-., )?$last(, --[a-z-]+)? ([A-Z]+)( .*|$)/\3/p" <<<"$help")
case $value in
URI) compadd qemu:///system ;;
PATTERN) compadd -- ${(f)"$(_call_program guests virsh --readonly --quiet list --name 2>/dev/null)"} ;;
FILE) _files -g '*.prom' ;;
?*) ;;
*)
	# Of an option that is a choice, the words that --help shows, such as host|guests.
	local -a choices
	[[ $last != -* || $last = *[^a-z-]* ]] || choices=(${(s:|:)"$(sed -nE "s/^ +(-., )?$last ([a-z]+(\|[a-z]+)+).*/\2/p" <<<"$help")"})
	if ((${#choices})); then
		compadd -- $choices
		return
	fi
	# Options and commands are those that --help shows.
	compadd -- ${(f)"$(grep -oE '^ +(-., )?--[a-z-]+' <<<"$help" | grep -oE -- '--[a-z-]+')"}
	[[ ${words[1]:t} != vmbal ]] || compadd -- ${(f)"$(sed -nE 's/^  ([a-z]+) .*/\1/p' <<<"$help")"}
	;;
esac
