#include "list.h"

static int check(list_t *list) { return list != 0; }

/**
 * Returns how many there are.
 */
int list_length(list_t *list)
{
    return check(list) ? LIST_MAX(list->length, 0) : 0;
}

#ifdef SLOW
static void tick(void) { }
#else
static void tick(void) { }
#endif

int list_step(list_t *list) { tick(); return list->next(list); }
