# config.mk - compiler, modes and flags; included by the Makefile, overridable on the command line

CC      ?= gcc
AR      ?= ar
OBJCOPY ?= objcopy
ifeq ($(origin CC),default)
CC := gcc
endif

MODE ?= rel
BUILD ?= build
B    := $(BUILD)/$(MODE)

# How the virtual TLB keeps fills from bringing back what was invalidated: stamps, or, for contrast,
# in-fill counters. See vtlb/infill.c.
VTLB_FILL ?= stamps
ifeq ($(filter $(VTLB_FILL),stamps oddeven),)
$(error VTLB_FILL=$(VTLB_FILL) is not known; use stamps or oddeven)
endif
ifeq ($(VTLB_FILL),oddeven)
B := $(BUILD)/$(MODE)-oddeven
endif

OPT.dbg   := -Og -g3 -DNESTOR_DEBUG
OPT.rel   := -O2 -g
OPT.asan  := -O1 -g -DNESTOR_DEBUG -fsanitize=address -fno-omit-frame-pointer
OPT.ubsan := -O1 -g -DNESTOR_DEBUG -fsanitize=undefined -fno-sanitize=alignment \
             -fno-sanitize-recover=undefined
OPT.tsan  := -O1 -g -DNESTOR_DEBUG -fsanitize=thread -Wno-tsan
OPT.cov   := -O0 -g -DNESTOR_DEBUG --coverage
ifeq ($(OPT.$(MODE)),)
$(error MODE=$(MODE) is not known; use dbg, rel, asan, ubsan, tsan or cov)
endif
LDOPT.asan  := -fsanitize=address
LDOPT.ubsan := -fsanitize=undefined
LDOPT.tsan  := -fsanitize=thread
LDOPT.cov   := --coverage

WARN := -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wold-style-definition \
        -Wshadow -Wundef -Wvla -Wpointer-arith -Wwrite-strings -Wno-unused-parameter \
        -Wno-missing-field-initializers -Wno-override-init

CPPFLAGS := -I. -D_GNU_SOURCE=
CFLAGS_COMMON := -std=gnu11 $(WARN) -fno-strict-aliasing -fwrapv -fno-common \
                 -ffunction-sections -fdata-sections
CFLAGS := $(CFLAGS_COMMON) $(OPT.$(MODE)) $(EXTRA_CFLAGS)

# Fixed addresses make the engine's tables one load shorter; objects that a shared object
# also needs are position-independent.
PIE := -fno-pie
PIC := -fPIC

# Between exit and re-entry a guest's vector state is live in the host's registers, so that code
# may neither use vector registers nor have the compiler call libc's copies and fills.
GENERAL_REGS := -mgeneral-regs-only -fno-tree-loop-distribute-patterns \
                -mmemcpy-strategy=unrolled_loop:128:noalign,rep_8byte:-1:noalign \
                -mmemset-strategy=unrolled_loop:128:noalign,rep_8byte:-1:noalign

comma := ,
# SOFT=1: what was left out is found missing when it is called
LDFLAGS := $(if $(SOFT),-Wl$(comma)--unresolved-symbols=ignore-all$(comma)-z$(comma)muldefs) -no-pie -Wl,--gc-sections -Wl,--as-needed -rdynamic $(LDOPT.$(MODE))
LIBS    := -lelf -lZydis -lslirp -lbabeltrace2 -llttng-ctl -linih -lnuma -lncursesw -ltinfo -ldl -lpthread -lm
