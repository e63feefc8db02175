/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where is the program, and will the dynamic linker load our library into it?
 * (ld.so(8), "Secure-execution mode".)
 */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/cli.h"

/* ---- the file ------------------------------------------------------------------------------- */

static bool has_interpreter(int fd, const Elf64_Ehdr *header)
{
	for (unsigned int i = 0; i < header->e_phnum; i++) {
		off_t at = (off_t)header->e_phoff + (off_t)i * header->e_phentsize;
		Elf64_Phdr segment;

		if (pread(fd, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment))
			return false;
		if (segment.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* The machine this command itself was made for, which is the library's too. */
static int own_machine(void)
{
	Elf64_Ehdr header = {0};
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return EM_NONE;
	if (read(fd, &header, sizeof(header)) != (ssize_t)sizeof(header))
		header.e_machine = EM_NONE;
	close(fd);
	return header.e_machine;
}

static enum program_kind kind_of_elf(int fd)
{
	Elf64_Ehdr header = {0};
	ssize_t n = pread(fd, &header, sizeof(header), 0);

	/* Scripts and what else the kernel may know: their interpreter is what counts. */
	if (n < (ssize_t)SELFMAG || memcmp(header.e_ident, ELFMAG, SELFMAG))
		return PROGRAM_PRELOADABLE;
	if (n != (ssize_t)sizeof(header) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_machine != own_machine())
		return PROGRAM_FOREIGN;
	return has_interpreter(fd, &header) ? PROGRAM_PRELOADABLE : PROGRAM_STATIC;
}

/* Would it run with other rights than ours? */
static bool gains_rights(const char *path, const struct stat *st)
{
	if ((st->st_mode & S_ISUID) && st->st_uid != getuid())
		return true;
	if ((st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP) && st->st_gid != getgid())
		return true;
	return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static enum program_kind kind_of(const char *path)
{
	enum program_kind kind;
	struct stat st;
	int fd;

	if (stat(path, &st))
		return PROGRAM_NOT_FOUND;
	if (!S_ISREG(st.st_mode) || access(path, X_OK))
		return PROGRAM_NOT_EXECUTABLE;
	if (gains_rights(path, &st))
		return PROGRAM_PRIVILEGED;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* Executable but not readable: the dynamic linker treats it as any other. */
	if (fd < 0)
		return PROGRAM_PRELOADABLE;
	kind = kind_of_elf(fd);
	close(fd);
	return kind;
}

/* ---- the search -------------------------------------------------------------- */

static bool join(char *path, const char *dir, size_t dir_length, const char *name)
{
	/* An empty element is the current directory. */
	int n = snprintf(path, PATH_MAX, "%.*s/%s", dir_length ? (int)dir_length : 1,
			 dir_length ? dir : ".", name);

	return n > 0 && n < PATH_MAX;
}

enum program_kind find_program(const char *name, char *path)
{
	const char *dir = getenv("PATH");
	enum program_kind best = PROGRAM_NOT_FOUND;

	if (strchr(name, '/')) {
		if (strlen(name) >= PATH_MAX)
			return PROGRAM_NOT_FOUND;
		memcpy(path, name, strlen(name) + 1);
		return kind_of(path);
	}
	for (dir = dir ? dir : "/bin:/usr/bin"; dir && *name;) {
		size_t length = strcspn(dir, ":");
		enum program_kind kind =
			join(path, dir, length, name) ? kind_of(path) : PROGRAM_NOT_FOUND;

		if (kind != PROGRAM_NOT_FOUND && kind != PROGRAM_NOT_EXECUTABLE)
			return kind;
		if (kind == PROGRAM_NOT_EXECUTABLE)
			best = kind;
		dir = dir[length] ? dir + length + 1 : NULL;
	}
	return best;
}
