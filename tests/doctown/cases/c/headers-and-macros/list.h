#ifndef LIST_H
#define LIST_H

/* The longest list. */
#define LIST_MAX(a, b) ((a) > (b) ? (a) : (b))

typedef struct list {
    int length;
} list_t;

int list_length(list_t *list);

#endif
