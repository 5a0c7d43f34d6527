# Freestanding child VMMs and their guests. Their own flags: nothing of the host's build (sanitizers,
# libc, optimisation mode) may reach code that runs inside the machine.
L1_OUT := build/$(MODE)/l1-child
L1_CC ?= gcc
L1_LD ?= ld
L1_OBJCOPY ?= objcopy
L1_WARN := -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes
L1_COMMON := -std=gnu11 -O2 -g -ffreestanding -nostdlib -nostdinc \
	-isystem $(shell $(L1_CC) -print-file-name=include) -I. $(L1_WARN) \
	-fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing -mgeneral-regs-only -MMD -MP
L1_CFLAGS64 := $(L1_COMMON) -m64 -mcmodel=small -mno-red-zone
L1_CFLAGS32 := $(L1_COMMON) -m32 -march=i686
L1_LDFLAGS := -nostdlib -static --build-id=none --no-warn-rwx-segments -z noexecstack \
	-z max-page-size=4096

GUEST_IMAGES += $(L1_OUT)/hello.elf

$(L1_OUT)/%.o: l1-child/%.S
	@mkdir -p $(@D)
	$(L1_CC) $(L1_CFLAGS64) -c -o $@ $<

$(L1_OUT)/%.o: l1-child/%.c
	@mkdir -p $(@D)
	$(L1_CC) $(L1_CFLAGS64) -c -o $@ $<

$(L1_OUT)/%.32.o: l1-child/%.S
	@mkdir -p $(@D)
	$(L1_CC) $(L1_CFLAGS32) -c -o $@ $<

$(L1_OUT)/%.32.o: l1-child/%.c
	@mkdir -p $(@D)
	$(L1_CC) $(L1_CFLAGS32) -c -o $@ $<

$(L1_OUT)/hello.elf: $(L1_OUT)/boot/hello.32.o l1-child/boot/hello.ld
	$(L1_LD) -m elf_i386 $(L1_LDFLAGS) -T l1-child/boot/hello.ld -o $@ $<

-include $(shell find $(L1_OUT) -name '*.d' 2>/dev/null)
