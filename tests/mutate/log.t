#!/usr/bin/env bash
# What a log line tells programs, and to whom it goes: what is left out, some test must miss.
# shellcheck source=tests/mutate/lib.sh
. "$(dirname "$0")/lib.sh"

begin host fault/test_log

mutate "no name ends a JSON string" log_json.c "s/if \(\*s == '\"' .*/if (false)/"
mutate "what is no UTF-8 is not passed on" log_json.c 's/^\t\tif \(s\[0\] < forms.*/\t\tif (false)/'
mutate "half a field is none" log_json.c 's/o->used = before;/;/'
mutate "no message forges a line" log.c 's/clean\(message\);/;/'
mutate "the journal is sent what is not on the stream" log.c 's/under_journald \&\& journal_has_socket \&\&$/false \&\&/'
mutate "... and the stream what the journal does not take" log.c 's/log_journal\(log_journal_socket, r\) == 0/log_journal(log_journal_socket, r) <= 0/'
mutate "no value forges a field of the journal" log_journal.c 's/if \(iscntrl/if (false \&\& iscntrl/'
plan
