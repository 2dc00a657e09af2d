/* SPDX-License-Identifier: MIT */
/*
 * clone_x86_64.S - clone3 and clone into a function on a stack of its own; raw.h declares them.
 * The child never returns from fn; ud2 says so.
 */
#if defined(__x86_64__)
	.text

/* long pcore_clone3(struct clone_args *args, size_t size, void (*fn)(void *), void *arg) */
	.globl	pcore_clone3
	.hidden	pcore_clone3
	.type	pcore_clone3, @function
pcore_clone3:
	.cfi_startproc
	endbr64
	movq	%rcx, %r8		/* the kernel clobbers rcx and r11 */
	movl	$435, %eax
	syscall
	testq	%rax, %rax
	jz	1f
	ret
1:	.cfi_undefined rip
	xorl	%ebp, %ebp
	movq	%r8, %rdi
	call	*%rdx
	ud2
	.cfi_endproc
	.size	pcore_clone3, . - pcore_clone3

/* long pcore_clone(unsigned long flags, void *stack_top, int *pidfd, void (*fn)(void *), void *arg) */
	.globl	pcore_clone
	.hidden	pcore_clone
	.type	pcore_clone, @function
pcore_clone:
	.cfi_startproc
	endbr64
	movq	%r8, %r9		/* arg; r8 and r10 are the call's last arguments */
	movq	%rcx, %rax
	andq	$-16, %rsi
	subq	$16, %rsi		/* fn waits on the child's stack */
	movq	%rax, (%rsi)
	xorl	%r10d, %r10d
	xorl	%r8d, %r8d
	movl	$56, %eax
	syscall
	testq	%rax, %rax
	jz	1f
	ret
1:	.cfi_undefined rip
	xorl	%ebp, %ebp
	movq	(%rsp), %rax
	movq	%r9, %rdi
	call	*%rax
	ud2
	.cfi_endproc
	.size	pcore_clone, . - pcore_clone
#endif
	.section .note.GNU-stack, "", @progbits
