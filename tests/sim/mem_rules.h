/*
 * mem_rules.h - today's rules, for the benchmark only: written anew from what is published of
 * their behaviour, each with its own rhythm and constants.
 */
#ifndef MEM_RULES_H
#define MEM_RULES_H

#include "tests/sim/mem_sim.h"

/* Grow by a step under 20 % free, shrink by a step over 40 %, while the host has 200 MiB. */
mem_rule rule_threshold;

/* oVirt's MOM, doc/balloon.rules: under 20 % of host memory free all shrink, else all grow. */
mem_rule rule_mom;

/* Proxmox VE, AutoBalloon: the host at 80 %, those with little free memory first. */
mem_rule rule_proxmox;

/* XenServer's squeezed: the same fraction of each one's range, in two phases. */
mem_rule rule_squeezed;

/* No balancing at all. */
mem_rule rule_nothing;

#endif
