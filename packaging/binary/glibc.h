/*
 * Which version of a function the addon asks the C library for. In glibc 2.34 those of threads moved, and got a version
 * by which older systems do not have them: https://sourceware.org/glibc/wiki/Release/2.34. The old one is in all of them.
 */
#ifndef __ASSEMBLER__
#if defined(__x86_64__)
#define IMGMV_GLIBC "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define IMGMV_GLIBC "GLIBC_2.17"
#endif
__asm__(".symver pthread_create, pthread_create@" IMGMV_GLIBC);
__asm__(".symver pthread_join, pthread_join@" IMGMV_GLIBC);
#endif
