#include <stdio.h>
#include "list.h"

enum mode { FAST, SLOW };

static int check(int value) { return value; }

int main(void)
{
    list_t list = {0};
    printf("%d", check(list_length(&list)));
    return 0;
}

DECLARE_THING(broken
