/* SPDX-License-Identifier: Apache-2.0 */
/* The elements of matrices, whichever way they lie in their tensors. */
#include "src/model/checkpoint.h"
#include "src/model/storage.h"

bool lac_matrix_is_int8(const struct lac_matrix *matrix)
{
    return matrix->scale != NULL;
}

float lac_matrix_row_scale(const struct lac_matrix *matrix, size_t row)
{
    float scale;
    size_t n = 0;
    (void)lac_shape_elements(matrix->scale->rank, matrix->scale->shape, &n);
    lac_tensor_to_f32(matrix->scale, n == 1 ? 0 : row, 1, &scale);
    return scale;
}

/* Where a row, or an element of the bias, lies in the tensor. */
static size_t stored_row(const struct lac_matrix *matrix, size_t row)
{
    if (matrix->order == LAC_ORDER_PAIRS) {
        size_t half = matrix->head_dim / 2, in_head = row % matrix->head_dim;
        row += 2 * (in_head % half) + in_head / half - in_head;
    }
    return matrix->first_row + row;
}

/* A transposed tensor is read this many rows of the matrix at a time: four cache lines of its own
 * rows in fp32, while the lines that are written, one a row, stay in L1. */
enum { ROWS_AT_ONCE = 64 };

/* The tensor's columns, n_columns in all, from element `begin` of its first row on. */
static void read_columns(const struct lac_matrix *matrix, size_t begin, size_t n_columns, size_t n,
                         float *out)
{
    size_t n_in = matrix->n_in;
    for (size_t row = 0; row < n; row += ROWS_AT_ONCE) {
        size_t n_rows = n - row < ROWS_AT_ONCE ? n - row : ROWS_AT_ONCE;
        for (size_t column = 0; column < n_in; column++) {
            float piece[ROWS_AT_ONCE];
            lac_tensor_to_f32(matrix->weight, begin + column * n_columns + row, n_rows, piece);
            for (size_t i = 0; i < n_rows; i++)
                out[(row + i) * n_in + column] = piece[i];
        }
    }
}

/* Head by head. */
static void read_heads(const struct lac_matrix *matrix, size_t first, size_t n, float *out)
{
    size_t n_rows = matrix->head_dim, n_in = matrix->n_in;
    for (size_t end = first + n, part; first < end; first += part, out += part * n_in) {
        size_t in_head = first % n_rows;
        part = n_rows - in_head < end - first ? n_rows - in_head : end - first;
        read_columns(matrix, (first - in_head) * n_in + in_head, n_rows, part, out);
    }
}

static void scale_row(const struct lac_matrix *matrix, size_t row, float *out)
{
    float scale = lac_matrix_row_scale(matrix, row);
    for (size_t i = 0; i < matrix->n_in; i++)
        out[i] *= scale;
}

void lac_matrix_rows(const struct lac_matrix *matrix, size_t first, size_t n, float *out)
{
    size_t n_in = matrix->n_in;
    if (matrix->order == LAC_ORDER_COLUMNS) {
        read_columns(matrix, matrix->first_row + first, matrix->weight->shape[1], n, out);
        return;
    }
    if (matrix->order == LAC_ORDER_HEADS) {
        read_heads(matrix, first, n, out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        lac_tensor_to_f32(matrix->weight, stored_row(matrix, first + i) * n_in, n_in,
                          out + i * n_in);
        if (lac_matrix_is_int8(matrix))
            scale_row(matrix, first + i, out + i * n_in);
    }
}

void lac_matrix_row(const struct lac_matrix *matrix, size_t row, float *out)
{
    lac_matrix_rows(matrix, row, 1, out);
}

void lac_matrix_bias(const struct lac_matrix *matrix, float *out)
{
    for (size_t i = 0; i < matrix->n_out; i++)
        lac_tensor_to_f32(matrix->bias, stored_row(matrix, i), 1, out + i);
}
