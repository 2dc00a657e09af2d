/* SPDX-License-Identifier: MIT */
/*
 * tiny - a program that does nothing: the job where the number of jobs matters and not the job.
 * Linked statically it is the cheapest process there is.
 */
int main(void)
{
	return 0;
}
