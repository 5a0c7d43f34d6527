#include "l0/base/code_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* the file cannot be executed, which is not what PROT_EXEC is about */
#endif

/* Where memfd_create() is forbidden, or what it gives may not be executed. */
static const char *const places[] = {"/dev/shm", "/tmp", "/var/tmp"};

/* @fd with its size, when the host lets it be executed: a folder may be mounted noexec. */
static int usable(int fd, u64 bytes)
{
	void *p = MAP_FAILED;
	int err;

	if (fd < 0)
		return fd;
	if (!ftruncate(fd, (off_t)bytes))
		p = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED) {
		munmap(p, bytes);
		return fd;
	}
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

int code_mem_create(u64 bytes)
{
	static const char name[] = "nestor-code";
	/* with vm.memfd_noexec = 2 only such, with an old kernel only others */
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL), err;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC);
	fd = usable(fd, bytes);
	err = errno;
	for (u32 i = 0; fd < 0 && i < sizeof(places) / sizeof(places[0]); i++)
		fd = usable(open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), bytes);
	if (fd >= 0)
		return fd;
	return err == ENOMEM || err == EMFILE || err == ENFILE ? -err : -EPERM;
}
