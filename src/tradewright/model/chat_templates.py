"""Chat templates that are ours: the text that messages become, for our tokenizer (Jinja) and for Ollama (Go).

A model's own template is used where it has one. These are for models without one, and for those whose own template
rewrites answers (DeepSeek-R1's removes what stands before ``</think>``), which would train on other texts than asked.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """One template in both languages.

    Args:
        name: As ``model.chat_template`` takes it.
        jinja: For ``tokenizer.apply_chat_template``; ends an answer with ``eos_token``.
        go: The same for the ``TEMPLATE`` of an Ollama Modelfile.
        tokens: Texts that the tokenizer must hold as single tokens.
    """

    name: str
    jinja: str
    go: str
    tokens: tuple[str, ...] = ()


CHATML = ChatTemplate(
    name="chatml",
    jinja=(
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    go=("{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"),
    tokens=("<|im_start|>", "<|im_end|>"),
)
"""Source: OpenAI's chat markup as Qwen uses it."""

TURNS = ChatTemplate(
    name="turns",
    jinja="{% for message in messages %}{{ message['content'] }}{{ eos_token }}{% endfor %}",
    go="{{- range .Messages }}{{ .Content }}EOS{{ end }}",
)
"""Turns without roles, each ended by EOS. Source: DialoGPT's training format (Zhang et al., arXiv 1911.00536)."""

MISTRAL = ChatTemplate(
    name="mistral",
    jinja=(
        "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}"
        "{% if message['role'] == 'system' %}{% set ns.system = message['content'] + '\n\n' %}"
        "{% elif message['role'] == 'user' %}[INST] {{ ns.system + message['content'] }} [/INST]"
        "{% set ns.system = '' %}{% else %} {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    ),
    go=(
        '{{- $system := "" }}{{- range .Messages }}{{- if eq .Role "system" }}'
        '{{- $system = printf "%s\\n\\n" .Content }}'
        '{{- else if eq .Role "user" }}[INST] {{ $system }}{{ .Content }} [/INST]{{- $system = "" }}'
        "{{- else }} {{ .Content }}EOS{{- end }}{{- end }}"
    ),
)
"""Mistral's instruction format in ordinary tokens; the system message joins the next question."""

_BAR = "\uff5c"  # DeepSeek's marks are written with a full-width bar
_USER, _ASSISTANT = f"<{_BAR}User{_BAR}>", f"<{_BAR}Assistant{_BAR}>"
DEEPSEEK = ChatTemplate(
    name="deepseek",
    jinja=(
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] }}"
        "{% elif message['role'] == 'user' %}USER{{ message['content'] }}"
        "{% else %}ASSISTANT{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}ASSISTANT{% endif %}"
    )
    .replace("USER", _USER)
    .replace("ASSISTANT", _ASSISTANT),
    go=(
        '{{- range .Messages }}{{- if eq .Role "system" }}{{ .Content }}{{- else if eq .Role "user" }}USER'
        "{{ .Content }}{{- else }}ASSISTANT{{ .Content }}EOS{{- end }}{{- end }}ASSISTANT"
    )
    .replace("USER", _USER)
    .replace("ASSISTANT", _ASSISTANT),
    tokens=(_USER, _ASSISTANT),
)
"""DeepSeek-R1's marks with the answer as it is: reasoning between ``<think>`` marks is kept where the answer has it."""

TEMPLATES = {template.name: template for template in (CHATML, TURNS, MISTRAL, DEEPSEEK)}
