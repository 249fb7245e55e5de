#include "report.h"

#include <assert.h>
#include <syslog.h>

/* The ids were made by `systemd-id128 new`, once: operators' filters and the catalog
 * (systemd/codexd.catalog) name them, so none is ever changed. Priorities: info for what is normal,
 * notice for what an operator did or may want to know, warning for refusals and slowness, err for
 * what failed, crit for a broken promise of isolation; never emerg, which walls. */
static const struct {
        const char *word, *id;
        int priority;
} events[_REPORT_EVENT_MAX] = {
        /* clang-format off */
        [REPORT_DAEMON_READY] = {"daemon-ready", "e4e9eff740dc4fa49c8fb699823d6b11", LOG_INFO},
        [REPORT_DAEMON_STOPPING] = {"daemon-stopping", "51fe34cc4dc74c54a9751430d3edeb14", LOG_INFO},
        [REPORT_CONFIG_LOADED] = {"config-loaded", "b104416a1f94457eb3419a55f5ca6932", LOG_NOTICE},
        [REPORT_CONFIG_REJECTED] = {"config-rejected", "ff99670eb9b24f7fbb652ffb1691f6ab", LOG_ERR},
        [REPORT_SUPERVISOR_DIED] = {"supervisor-died", "a5eef75095cc48e0a468940c039744d3", LOG_ERR},
        [REPORT_JOB_QUEUED] = {"job-queued", "759b2baf1994445c900b34c3f796fca6", LOG_INFO},
        [REPORT_JOB_REJECTED] = {"job-rejected", "e601948b3c624981a2e4dbd6883833cb", LOG_WARNING},
        [REPORT_JOB_STARTED] = {"job-started", "c7036ba48985485d9a806a09dc6f92d9", LOG_INFO},
        [REPORT_JOB_SLOW] = {"job-slow", "353667eacb6945629e1e8e41ac788b93", LOG_WARNING},
        [REPORT_JOB_STALLED] = {"job-stalled", "9dce36d9412a4aa484f8b0707b5c13e7", LOG_WARNING},
        [REPORT_JOB_CANCELLING] = {"job-cancelling", "cca82f6305ab42328b923eb49b8ea1a6", LOG_NOTICE},
        [REPORT_JOB_FINISHED] = {"job-finished", "5dcd65be07b14cd2aa2a971ecbafa7a6", LOG_INFO},
        [REPORT_JOB_LOST] = {"job-lost", "4e9ea2edde404b07aeb34aa6db082a2f", LOG_ERR},
        [REPORT_WORKER_SPAWNED] = {"worker-spawned", "90c2c14571044f4d83538960dfa88d6a", LOG_INFO},
        [REPORT_WORKER_READY] = {"worker-ready", "c3df512213e34f19b857ea148ed0aa08", LOG_INFO},
        [REPORT_WORKER_ADOPTED] = {"worker-adopted", "9c674c0b73b94fb1b9c9af079a5de588", LOG_NOTICE},
        [REPORT_WORKER_RETIRED] = {"worker-retired", "2732b07a057247518beac78f75f90322", LOG_INFO},
        [REPORT_WORKER_CRASHED] = {"worker-crashed", "2bde20b1fd5242cea25f31e116ddbcc6", LOG_ERR},
        [REPORT_KILL_ESCALATED] = {"kill-escalated", "705f76ddcd5a420ca2dcbb2c6605f248", LOG_WARNING},
        [REPORT_PRIVILEGE_VERIFY_FAILED] = {"privilege-verify-failed", "86e9dc8cf1584a61b8431044353ba5e6", LOG_CRIT},
        [REPORT_THREAD_STARTED] = {"thread-started", "a2af8bf424024ea487888c0c0a261061", LOG_INFO},
        [REPORT_THREAD_RESUMED] = {"thread-resumed", "581b6c2abf7f4de7800acc5921c2ab2b", LOG_INFO},
        [REPORT_TURN_STARTED] = {"turn-started", "ddd4620c4b5c48b4a654be0b4f57dc77", LOG_INFO},
        [REPORT_TURN_COMPLETED] = {"turn-completed", "75f9bdff2a174dc1b67243cb4e28e5d8", LOG_INFO},
        [REPORT_TURN_FAILED] = {"turn-failed", "dd356c2871004232b4c699c72038c44a", LOG_ERR},
        [REPORT_ITEM_STARTED] = {"item-started", "eaa27545887b4e9da98860670599ffda", LOG_INFO},
        [REPORT_ITEM_COMPLETED] = {"item-completed", "c2d5b3c6b32842138d362906cf95d3ce", LOG_INFO},
        [REPORT_EVENTS_LOST] = {"events-lost", "3a28137b19584b6485542200a1e4942a", LOG_ERR},
        /* clang-format on */
};

const char *report_event_word(enum report_event event)
{
        assert((unsigned) event < _REPORT_EVENT_MAX);
        return events[event].word;
}

const char *report_event_id(enum report_event event)
{
        assert((unsigned) event < _REPORT_EVENT_MAX);
        return events[event].id;
}

int report_event_priority(enum report_event event)
{
        assert((unsigned) event < _REPORT_EVENT_MAX);
        return events[event].priority;
}
