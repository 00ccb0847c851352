#include <tenet/tenet.h>

#include <cstdio>

int main() { std::puts(tenet::version()); }
