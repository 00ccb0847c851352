/// The scalar maths of the elementwise ops, once, for the CPU and CUDA: value and derivative side
/// by side.
///
/// A unary functor has y(x) and, unless its derivative is a constant, dx(saved, dy), where `saved`
/// is x or y as `saves` says. A binary functor has y(a, b) and may have da(a, b, dy) and db(a, b,
/// dy). Half types are computed as float.
#pragma once

#include <tenet/ops/functors/activation.h>
#include <tenet/ops/functors/binary.h>
#include <tenet/ops/functors/traits.h>
#include <tenet/ops/functors/unary.h>
