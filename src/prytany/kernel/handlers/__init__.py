"""Handlers, one file a family: plain functions over the pure rooms. They decide, and answer with events."""

from __future__ import annotations

from prytany.kernel.handlers import (
    call,
    context,
    file,
    incarnation,
    link,
    message,
    model,
    process,
    schedule,
    supervise,
    tool,
)
from prytany.kernel.outcome import Handler

HANDLERS: dict[str, Handler] = {
    "nop": call.sys_nop,
    "call_cancel": call.sys_call_cancel,
    "timer_wait": call.sys_timer_wait,
    "process_spawn": process.sys_process_spawn,
    "process_wait": process.sys_process_wait,
    "process_exit": incarnation.sys_process_exit,
    "process_exec": incarnation.sys_process_exec,
    "process_signal": process.sys_process_signal,
    "message_send": message.sys_message_send,
    "message_call": message.sys_message_call,
    "message_receive": message.sys_message_receive,
    "message_reply": message.sys_message_reply,
    "message_done": message.sys_message_done,
    "model_chat": model.sys_model_chat,
    "context_open": context.sys_context_open,
    "context_append": context.sys_context_append,
    "context_fork": context.sys_context_fork,
    "context_read": context.sys_context_read,
    "context_close": context.sys_context_close,
    "model_embed": model.sys_model_embed,
    "file_read": file.sys_file_read,
    "file_write": file.sys_file_write,
    "file_list": file.sys_file_list,
    "tool_call": tool.sys_tool_call,
    "tool_list": tool.sys_tool_list,
    "agent_schedule": schedule.sys_agent_schedule,
    "budget_read": schedule.sys_budget_read,
    "process_supervise": supervise.sys_process_supervise,
    "process_link": link.sys_process_link,
    "process_unlink": link.sys_process_unlink,
    "process_monitor": link.sys_process_monitor,
    "process_demonitor": link.sys_process_demonitor,
}
"""One handler a call of the table; a test holds the two to each other."""
