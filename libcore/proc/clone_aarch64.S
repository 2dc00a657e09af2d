/* SPDX-License-Identifier: MIT */
/*
 * clone_aarch64.S - clone3 and clone into a function on a stack of its own; raw.h declares them.
 * The child never returns from fn; brk says so.
 */
#if defined(__aarch64__)
	.text

/* long pcore_clone3(struct clone_args *args, size_t size, void (*fn)(void *), void *arg) */
	.globl	pcore_clone3
	.hidden	pcore_clone3
	.type	pcore_clone3, %function
pcore_clone3:
	.cfi_startproc
	hint	#34
	mov	x8, #435
	svc	#0
	cbz	x0, 1f
	ret
1:	.cfi_undefined x30
	mov	x29, #0
	mov	x0, x3
	blr	x2
	brk	#1
	.cfi_endproc
	.size	pcore_clone3, . - pcore_clone3

/* long pcore_clone(unsigned long flags, void *stack_top, int *pidfd, void (*fn)(void *), void *arg) */
	.globl	pcore_clone
	.hidden	pcore_clone
	.type	pcore_clone, %function
pcore_clone:
	.cfi_startproc
	hint	#34
	mov	x5, x3
	mov	x6, x4
	and	x1, x1, #-16
	mov	x3, #0
	mov	x4, #0
	mov	x8, #220
	svc	#0
	cbz	x0, 1f
	ret
1:	.cfi_undefined x30
	mov	x29, #0
	mov	x0, x6
	blr	x5
	brk	#1
	.cfi_endproc
	.size	pcore_clone, . - pcore_clone
#endif
	.section .note.GNU-stack, "", %progbits
