/* An intrusive, doubly linked, circular list. A link says in a comment which list it hangs in. */
#pragma once

#include "cleanup.h"

#include <stdbool.h>

struct list {
        struct list *prev, *next;
};

#define LIST_INIT(name)                                                                            \
        {                                                                                          \
                &(name), &(name)                                                                   \
        }

static inline void list_init(struct list *list)
{
        list->prev = list->next = list;
}

static inline bool list_empty(const struct list *list)
{
        return list->next == list || !list->next; /* a zeroed link hangs in no list */
}

static inline void list_append(struct list *list, struct list *link)
{
        link->prev = list->prev;
        link->next = list;
        list->prev->next = link;
        list->prev = link;
}

/* Harmless for a link that hangs nowhere. */
static inline void list_remove(struct list *link)
{
        if (!link->next)
                return;
        link->prev->next = link->next;
        link->next->prev = link->prev;
        link->prev = link->next = NULL;
}

#define list_entry(link, type, member) container_of(link, type, member)

/* The body may remove and free `pos`, and nothing else of the list. */
#define LIST_FOREACH(pos, list, type, member)                                                      \
        for (type *pos = list_entry((list)->next, type, member),                                   \
                  *pos##_next = list_entry(pos->member.next, type, member);                        \
             &pos->member != (list);                                                               \
             pos = pos##_next, pos##_next = list_entry(pos->member.next, type, member))
