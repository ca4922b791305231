// All kernels: what a device loads, and what the tests compile as plain C++.
#include "elements.cuh"
#include "linear.cuh"
#include "msm.cuh"
#include "tree.cuh"
