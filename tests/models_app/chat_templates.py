"""Chat templates in the manner of well-known families, written for these tests.

Each has what its family is known for and nothing else; the real ones that may be held
here lie in `tests/templates_of_models`.
"""

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# Gemma 3: the system message goes into the first turn; roles must take turns.
FOLDS_SYSTEM = """\
{{ bos_token }}
{%- set prefix = '' -%}
{%- if messages[0].role == 'system' -%}
  {%- set prefix = messages[0].content + '\n\n' -%}
  {%- set messages = messages[1:] -%}
{%- endif -%}
{%- for m in messages -%}
  {%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}
    {{ raise_exception('Conversation roles must alternate') }}
  {%- endif -%}
  <start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}
{{ (prefix if loop.first else '') + m.content | trim }}<end_of_turn>
{% endfor -%}
"""

# Qwen 3: tools as JSON in the system turn, thoughts that can be switched off.
THINKS = """\
{%- if tools %}
<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for m in messages %}
<|im_start|>{{ 'user' if m.role == 'tool' else m.role }}
{% if m.role == 'tool' %}<tool_response>{{ m.content }}</tool_response>
{%- elif m.tool_calls %}{% for call in m.tool_calls -%}
<tool_call>{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}</tool_call>
{%- endfor %}{% else %}{{ m.content }}{% endif %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}{% endif %}
"""  # noqa: E501

# Llama 3.1: the date of today, one call at a time, an `ipython` turn for answers.
DATED = """\
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
  {%- set system_message = messages[0]['content'] | trim %}
  {%- set messages = messages[1:] %}
{%- else %}{% set system_message = '' %}{% endif %}
{{- '<|start_header_id|>system<|end_header_id|>\n\nToday: ' + strftime_now('%d %b %Y') }}
{{ system_message }}<|eot_id|>
{%- if tools is not none and tools %}{% for t in tools %}{{ t | tojson(indent=4) }}{% endfor %}{% endif %}
{%- for message in messages %}
  {%- if 'tool_calls' in message %}
    {%- if message.tool_calls | length != 1 %}
      {{- raise_exception('This model only supports single tool-calls at once!') }}
    {%- endif %}
    {{- message.tool_calls[0].function.arguments | tojson }}<|eot_id|>
  {%- elif message.role in ('tool', 'ipython') %}
    {{- '<|start_header_id|>ipython<|end_header_id|>\n\n' + message.content | tojson }}<|eot_id|>
  {%- else %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] }}<|eot_id|>
  {%- endif %}
{%- endfor %}
"""  # noqa: E501

# Mistral: turns, ids of nine characters, no role besides those it names.
STRICT = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set rest = messages[1:] %}
{%- else %}{% set rest = messages %}{% endif %}
{%- set ns = namespace(at=0) %}
{%- for m in rest if m.role not in ['tool', 'tool_results'] and not m.get('tool_calls') %}
  {%- if (m.role == 'user') != (ns.at % 2 == 0) %}
    {{- raise_exception('After the optional system message, conversation roles must alternate') }}
  {%- endif %}{% set ns.at = ns.at + 1 %}
{%- endfor %}
{%- for m in rest %}
  {%- if m.role == 'user' %}
    {%- if tools is defined and loop.last %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}
    {{- '[INST]' + (system + '\n\n' if system is defined and loop.last else '') + m.content + '[/INST]' }}
  {%- elif m.tool_calls is defined %}
    {%- for call in m.tool_calls %}
      {%- if call.id is not defined or call.id | length != 9 %}
        {{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}
      {%- endif %}[TOOL_CALLS] {{ call.function | tojson }}
    {%- endfor %}
  {%- elif m.role == 'assistant' %}{{ m.content + eos_token }}
  {%- elif m.role in ['tool', 'tool_results'] %}[TOOL_RESULTS] {{ m.content }} {{ m.tool_call_id }}
  {%- else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}
{%- endfor %}
"""  # noqa: E501

# Models that see pictures: contents are lists of parts and nothing else is read.
PARTS_ONLY = (
    "{% for m in messages %}{{ m.role }}: {% for part in m.content %}"
    "{% if part.type == 'image' %}<image>{% elif part.type == 'text' %}"
    "{{ part.text }}{% endif %}{% endfor %}\n{% endfor %}"
)

TRAINED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}"
    "{% elif m.role == 'skip' %}{% continue %}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
)
